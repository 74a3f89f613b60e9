from datetime import date, timedelta
from typing import Any

import pytest

from promptship.prompts.lint import Catalogue, LintContext, LintFinding, Model, built_in
from promptship.settings import ModelSettings
from tests.support.lint import CONTEXT, TODAY, findings, prompt, rules, system


def test_a_clean_prompt_has_no_finding() -> None:
    assert findings(prompt()) == ()


CASES: list[tuple[str, dict[str, Any], bool]] = [
    ("PS101", {"messages": [{"role": "user", "content": "{{ a"}]}, True),
    ("PS101", {"messages": [{"role": "user", "content": "{% if %}"}]}, True),
    ("PS201", {"messages": [{"role": "user", "content": "{{ a }}"}]}, True),
    ("PS201", {"messages": [{"role": "user", "content": "{% set a = 1 %}{{ a }}"}]}, False),
    ("PS202", {"variables": {"a": {}}}, True),
    ("PS202", {"variables": {"a": {}}, "messages": [{"role": "user", "content": "{{ a }}"}]}, False),
    ("PS202", {"variables": {"a": {}}, "messages": [{"role": "user", "content": "{{ b"}]}, False),
    ("PS203", {"variables": {"a": {"type": "integer", "examples": [1, True]}}}, True),
    ("PS203", {"variables": {"a": {"enum": ["x"], "examples": ["y"]}}}, True),
    ("PS203", {"variables": {"a": {"type": "number", "examples": [1, 2.5]}}}, False),
    ("PS204", {"variables": {"a": {"type": "boolean", "default": "yes"}}}, True),
    ("PS204", {"variables": {"a": {"type": "boolean", "required": False, "default": None}}}, False),
    ("PS205", {"variables": {"a": {"description": " "}}}, True),
    ("PS205", {"variables": {"a": {"description": "x"}}}, False),
    ("PS205", {"variables": {"a": {"required": False}}}, False),
    ("PS206", {"variables": {"a": {"type": "integer", "enum": [1, "2"]}}}, True),
    ("PS206", {"variables": {"a": {"type": "integer", "enum": [1, 2]}}}, False),
    ("PS301", {"model": None}, True),
    ("PS301", {"model": ""}, True),
    ("PS302", {"model": "house-modle"}, True),
    ("PS302", {"model": "anyone/anything"}, False),
    ("PS302", {"model": None}, False),
    ("PS303", {"model": "old-model"}, True),
    ("PS303", {"model": "somewhere/old-model"}, True),
    ("PS501", {"owner": None}, True),
    ("PS501", {"owner": "  "}, True),
]


@pytest.mark.parametrize(("rule", "fields", "fires"), CASES)
def test_each_rule_fires_on_its_fault_only(rule: str, fields: dict[str, Any], fires: bool) -> None:
    assert (rule in rules(prompt(**fields))) is fires


@pytest.mark.parametrize(
    ("days", "rule"), [(-1, "PS303"), (0, "PS303"), (1, "PS304"), (60, "PS304"), (61, None)]
)
def test_retirement_is_judged_by_the_day(days: int, rule: str | None) -> None:
    catalogue = Catalogue({"house-model": Model(retires_on=TODAY + timedelta(days=days))})
    assert rules(prompt(), context=LintContext(catalogue=catalogue, today=TODAY)) == (
        {rule} if rule else set()
    )


@pytest.mark.parametrize(
    ("max_tokens", "rule"), [(792, None), (793, "PS306"), (992, "PS306"), (993, "PS305")]
)
def test_the_budget_counts_prompt_and_answer_against_the_context(max_tokens: int, rule: str | None) -> None:
    # 3 for the answer + 4 for the message + 1 for "Hi" = 8 of 1,000 tokens.
    assert rules(prompt(parameters={"max_tokens": max_tokens})) == ({rule} if rule else set())


def test_the_budget_uses_the_largest_example() -> None:
    variable = {"description": "d", "examples": ["x", "x" * 2977, "xx"]}
    messages = [{"role": "user", "content": "{{ a }}"}]
    assert rules(prompt(messages=messages, variables={"a": variable})) == {"PS306"}
    assert rules(prompt(messages=messages, variables={"a": variable | {"examples": ["x" * 2980]}})) == {
        "PS305"
    }


def test_names_are_suggested() -> None:
    (undeclared,) = [f for f in findings(system("{{ qestion }}", question={})) if f.rule == "PS201"]
    assert "`question`" in undeclared.advice
    (unknown,) = findings(prompt(model="house-modle"))
    assert "`house-model`" in unknown.advice


FILE = """\
name: p
messages:
  - role: system
    content: |
      Be kind.

      Ask {{ a.b }} and {{ b }}.
  - role: user
    content: "Hello {{ c }}"
"""
MESSAGES = [
    {"role": "system", "content": "Be kind.\n\nAsk {{ a.b }} and {{ b }}.\n"},
    {"role": "user", "content": "Hello {{ c }}"},
]


def test_a_finding_stands_at_its_line_and_column_of_the_file() -> None:
    lines = {"messages[0].content": 5, "messages[1].content": 9}
    found = findings(prompt(messages=MESSAGES, owner="o"), FILE, CONTEXT, lines)
    assert [(f.message.split("`")[1], f.line, f.column) for f in found] == [
        ("a", 7, 14),
        ("b", 7, 28),
        ("c", 9, 24),
    ]


def test_text_that_was_folded_or_escaped_is_found_by_its_name() -> None:
    text = '{"messages": [\n {"role": "user",\n  "content": "Say \\"hi\\"\\n\\nto {{ a }}"}]}\n'
    (found,) = findings(prompt(messages=[{"role": "user", "content": 'Say "hi"\n\nto {{ a }}'}]), text)
    assert (found.line, found.column) == (3, 35)


def test_a_syntax_error_stands_at_its_line_of_the_file() -> None:
    messages = [{"role": "system", "content": "Be kind.\n\nAsk {{ a.b and {{ b }}.\n"}]
    (found,) = findings(
        prompt(messages=messages), FILE.replace("a.b }}", "a.b"), lines={"messages[0].content": 5}
    )
    assert (found.rule, found.line) == ("PS101", 7)


@pytest.mark.parametrize(
    ("text", "fires"),
    [
        ("jane@acme.com", True),
        ("jane@acme.com  # promptship: ignore[PS403]", False),
        ("jane@acme.com  # promptship: ignore[PS202]", True),
        ("# promptship: ignore[PS202, PS403]\njane@acme.com", False),
        ("<!-- promptship: ignore[PS403] -->\njane@acme.com", False),
        ("{# promptship: ignore[PS403] #}\njane@acme.com", False),
        ("{#- promptship:ignore[PS403] -#}\njane@acme.com", False),
        ("x # promptship: ignore[PS403]\njane@acme.com", True),
        ("# Title <!-- promptship: ignore[PS403] -->\njane@acme.com", True),
        ("# promptship: ignore[PS403]\n\njane@acme.com", True),
        ("# promptship: ignore\njane@acme.com", True),
        ("promptship: ignore[PS403] jane@acme.com", True),
    ],
)
def test_an_ignore_comment_is_about_its_line_or_the_next(text: str, fires: bool) -> None:
    assert (rules(prompt(), text) == {"PS403"}) is fires


def test_a_finding_never_repeats_what_it_found() -> None:
    secret, mail = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" * 2, "jane@acme.com"
    for finding in findings(prompt(), f"key {secret}\nmail {mail}\ncard 4111111111111111"):
        assert not any(text in f"{finding.message}{finding.advice}" for text in (secret, mail, "4111"))
        assert finding.rule.startswith("PS4")


def test_findings_are_ordered_by_path_line_and_rule() -> None:
    ordered = [
        LintFinding("PS202", "warning", "a", 1),
        LintFinding("PS101", "error", "a", 2),
        LintFinding("PS102", "error", "a", 2),
        LintFinding("PS101", "error", "b", 1),
    ]
    assert sorted([ordered[i] for i in (3, 1, 0, 2)]) == ordered


def test_configured_models_lie_over_the_catalogue() -> None:
    configured = {
        "gpt-4o": ModelSettings(context_tokens=5),
        "ours": ModelSettings(retires_on="2027-05-01"),
    }
    catalogue = built_in().with_models(configured)
    assert catalogue.find("gpt-4o") == Model(context_tokens=5, retires_on=date(2027, 1, 14))
    assert catalogue.find("ours") == Model(retires_on=date(2027, 5, 1))
    assert built_in().find("ours") is None


def test_the_catalogue_knows_the_dates_that_are_announced() -> None:
    for model_id, day in {
        "gpt-5": date(2026, 12, 11), "o3": date(2026, 12, 11), "gpt-4o": date(2027, 1, 14), "gpt-4.1": date(2027, 1, 14),
    }.items():  # fmt: skip
        found = built_in().find(model_id)
        assert found is not None
        assert found.retires_on == day
    for retired in ("gpt-3.5-turbo-0301", "gpt-4-32k"):
        assert rules(prompt(model=retired), context=LintContext(catalogue=built_in(), today=TODAY)) == {
            "PS303"
        }


def test_a_fine_tune_has_the_facts_of_its_base() -> None:
    assert built_in().find("ft:gpt-4o-2024-08-06:acme::abc") == built_in().find("gpt-4o-2024-08-06")
    assert built_in().find("ft:nothing:acme") is None
    assert built_in().find("/x") is None
