from collections.abc import Mapping
from typing import Any

import pytest

from promptship.errors import NotFound
from promptship.lifecycle.lint import RULES, LintReport, lint_tree, suite_names
from promptship.prompts.lint.catalogue import built_in
from promptship.settings import Approver, Settings
from tests.support.lint import TODAY, Files

MODEL = next(name for name, model in built_in().models.items() if model.retires_on is None)
GOOD = f"name: good\nmodel: {MODEL}\nowner: team\nmessages:\n  - role: user\n    content: Hi\n"
TREE = {
    "promptship.toml": "# all defaults\n",
    "prompts/good.yaml": GOOD,
    "suites/good.yaml": "",
    "README.md": "text",
}
SETTINGS = Settings(approvers=(Approver(name="mira"),))


def lint(changes: Mapping[str, str | None] | None = None, **options: Any) -> LintReport:
    files = {path: text for path, text in {**TREE, **(changes or {})}.items() if text is not None}
    return lint_tree(Files(files), SETTINGS, today=TODAY, **options)


def places(report: LintReport) -> list[tuple[str, str, int]]:
    return [(finding.rule, finding.path, finding.line) for finding in report.findings]


def test_a_good_tree_has_no_finding_and_gives_what_it_read() -> None:
    report = lint()
    assert report.findings == report.errors == ()
    assert report.loaded["prompts/good.yaml"].prompt.name == "good"
    assert report.plans["prompts/good.yaml"].canary.stages


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"prompts/good.yaml": GOOD.replace("owner", "ownr")}, ("PS001", "prompts/good.yaml", 3)),
        ({"prompts/good.yaml": "a: [\n"}, ("PS001", "prompts/good.yaml", 2)),
        ({"prompts/z.yaml": GOOD}, ("PS002", "prompts/z.yaml", 1)),
        ({"prompts/good.yaml": f"# promptship: ignore[PS999]\n{GOOD}"}, ("PS003", "prompts/good.yaml", 1)),
        ({"prompts/good.yaml": f"{GOOD}# promptship: ignore\n"}, ("PS003", "prompts/good.yaml", 7)),
        ({"prompts/good.yaml": f"{GOOD}release:\n  plan: careful\n"}, ("PS601", "prompts/good.yaml", 8)),
        ({"promptship.toml": "[plans.default]\nnonsense = 1\n"}, ("PS601", "promptship.toml", 2)),
        ({"promptship.toml": "plans = [\n"}, ("PS601", "promptship.toml", 2)),
        ({"suites/good.yaml": None}, ("PS602", "prompts/good.yaml", 1)),
        (
            {"promptship.toml": "\n[plans.default.canary]\nlease = 1\n"},
            ("PS608", "promptship.toml", 2),
        ),
        (
            {"prompts/good.yaml": f"{GOOD}release:\n  canary: {{lease: 1}}\n"},
            ("PS608", "prompts/good.yaml", 7),
        ),
    ],
)
def test_what_is_wrong_is_reported_where_it_is_written(
    changes: dict[str, str | None], expected: tuple[str, str, int]
) -> None:
    assert places(lint(changes)) == [expected]


def test_a_finding_about_a_shared_plan_is_said_once() -> None:
    changes = {"promptship.toml": "[plans.default.canary]\nlease = 1\n"}
    for name in ("a", "b"):
        changes |= {f"prompts/{name}.yaml": GOOD.replace("good", name), f"suites/{name}.yaml": ""}
    assert places(lint(changes)) == [("PS608", "promptship.toml", 1)]


def test_an_ignore_comment_in_the_settings_file_silences_a_plan_rule_there() -> None:
    text = "[plans.default.canary]  # promptship: ignore[PS608]\nlease = 1\n"
    assert lint({"promptship.toml": text}).findings == ()


def test_plans_come_from_the_tree_and_from_the_settings_only_without_it() -> None:
    settings = SETTINGS.model_copy(update={"plans": {"default": lint().plans["prompts/good.yaml"]}})
    tree = Files({path: text for path, text in TREE.items() if path != "promptship.toml"})
    report = lint_tree(tree, settings, today=TODAY)
    assert report.findings == ()


def test_the_named_paths_are_linted_and_only_they() -> None:
    changes = {"prompts/sub/bad.yaml": "x: 1\n", "elsewhere/draft.yaml": GOOD.replace("good", "draft")}
    assert set(lint(changes, paths=["prompts/sub"]).texts) == {"promptship.toml", "prompts/sub/bad.yaml"}
    assert set(lint(changes, paths=["./elsewhere/draft.yaml"]).loaded) == {"elsewhere/draft.yaml"}
    assert set(lint(changes, paths=["elsewhere"]).loaded) == set()
    assert set(lint(changes, paths=["."]).loaded) == {"prompts/good.yaml"}
    with pytest.raises(NotFound, match="nowhere"):
        lint(paths=["nowhere"])


def test_a_suite_is_a_file_in_a_subdirectory_too() -> None:
    files = ["suites/a.yaml", "suites/b.jsonl", "suites/c/cases.yaml", "suites/notes.md", "other/d.yaml"]
    assert suite_names(files, "suites") == {"a", "b", "c/cases"}


def test_every_rule_has_a_place_in_the_catalogue() -> None:
    assert all(rule.id == key and rule.summary.endswith(".") for key, rule in RULES.items())
    assert len({rule.name for rule in RULES.values()}) == len(RULES)
