from promptship.toml_lines import toml_lines

TEXT = '''\
# a comment with [brackets] and = signs
title = "a # no comment"
multi = """
[not.a.table]
key = 1
"""

[plans.careful.canary]
alpha = 0.05
stages = [
  { share = 0.01 },   # first

  { share = 0.5, dwell = "10m" },
]
"quoted.key" = 1

[[approvers]]
name = "mira"

[[approvers]]
name = "jo"
[approvers.more]
x.y = 2

[models."gpt-4.1"]
context_tokens = 5
literal = 'a = [1'
'''


def test_every_key_has_the_line_it_stands_in() -> None:
    lines = toml_lines(TEXT)
    assert {
        ("title",): 2,
        ("multi",): 3,
        ("plans",): 8,
        ("plans", "careful"): 8,
        ("plans", "careful", "canary"): 8,
        ("plans", "careful", "canary", "alpha"): 9,
        ("plans", "careful", "canary", "stages"): 10,
        ("plans", "careful", "canary", "stages", 0, "share"): 11,
        ("plans", "careful", "canary", "stages", 1): 13,
        ("plans", "careful", "canary", "stages", 1, "dwell"): 13,
        ("plans", "careful", "canary", "quoted.key"): 15,
        ("approvers",): 17,
        ("approvers", 0, "name"): 18,
        ("approvers", 1, "name"): 21,
        ("approvers", 1, "more", "x", "y"): 23,
        ("models", "gpt-4.1"): 25,
        ("models", "gpt-4.1", "context_tokens"): 26,
        ("models", "gpt-4.1", "literal"): 27,
    }.items() <= lines.items()
    assert ("not",) not in lines
