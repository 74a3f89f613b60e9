"""How findings look in every format. `make golden` rewrites the files; read the diff."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from promptship.lifecycle.lint import RULES, LintReport, lint_tree
from promptship.prompts.lint import LintFinding
from promptship.render.findings import to_github, to_json, to_sarif, to_text
from promptship.settings import Approver, Settings
from tests.support.lint import TODAY, Files

HERE = Path(__file__).parent
KEY = "ghp_" + "q7Zr2Xk9Lm4Vw8Tb1Nc6" * 2
PROMPT = f"""\
name: support
model: gpt-4o
messages:
  - role: system
    content: |
      You help customers of a shop.\tBe kind.
      Token {KEY}, then 100%, as they said: {{{{ qestion }}}}
variables:
  question: {{description: "what, they ask", examples: [3]}}
release:
  canary: {{lease: 10s}}
"""


@pytest.fixture
def report() -> LintReport:
    tree = Files(
        {
            "promptship.toml": "",
            "prompts/a b.md": "---\nowner: team\n---\nHi\n",
            "prompts/support.yaml": PROMPT,
        }
    )
    settings = Settings(approvers=(Approver(name="mira"),))
    return lint_tree(tree, settings, today=TODAY)


def same(name: str, text: str) -> None:
    golden = HERE / name
    if os.environ.get("PROMPTSHIP_UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_text(report: LintReport) -> None:
    same("findings.txt", to_text(report.findings, files=len(report.texts), texts=report.texts))


def test_text_without_findings() -> None:
    assert to_text((), files=1) == "No findings in 1 file.\n"


def test_json(report: LintReport) -> None:
    same("findings.json", to_json(report.findings[:3], files=2))


def test_github(report: LintReport) -> None:
    same("findings.github", to_github(report.findings, RULES))


def test_sarif(report: LintReport) -> None:
    chosen = report.findings[:1]
    rules = {finding.rule: RULES[finding.rule] for finding in chosen}
    same("findings.sarif", to_sarif(chosen, rules, version="1.2.3"))


# What the SARIF 2.1.0 schema and GitHub's code scanning require of the parts used here.
TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
POSITIVE = {"type": "integer", "minimum": 1}
SARIF = {
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "items": {"$ref": "#/$defs/run"}},
    },
    "$defs": {
        "run": {
            "required": ["tool", "results"],
            "properties": {
                "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                "tool": {"required": ["driver"], "properties": {"driver": {"$ref": "#/$defs/driver"}}},
                "results": {"type": "array", "items": {"$ref": "#/$defs/result"}},
            },
        },
        "driver": {
            "required": ["name"],
            "properties": {"rules": {"uniqueItems": True, "items": {"$ref": "#/$defs/rule"}}},
        },
        "rule": {
            "required": ["id", "shortDescription"],
            "properties": {
                "shortDescription": TEXT,
                "defaultConfiguration": {"properties": {"level": LEVEL}},
            },
        },
        "result": {
            "required": ["ruleId", "message", "locations"],
            "properties": {
                "ruleIndex": {"type": "integer", "minimum": 0},
                "level": LEVEL,
                "message": TEXT,
                "locations": {"minItems": 1, "items": {"$ref": "#/$defs/location"}},
            },
        },
        "location": {
            "required": ["physicalLocation"],
            "properties": {
                "physicalLocation": {
                    "required": ["artifactLocation", "region"],
                    "properties": {
                        "artifactLocation": {
                            "required": ["uri"],
                            "properties": {"uri": {"pattern": r"^[^\s:\\]+$"}},
                        },
                        "region": {"properties": {"startLine": POSITIVE, "startColumn": POSITIVE}},
                    },
                }
            },
        },
    },
}


def test_sarif_with_every_rule_has_the_required_structure(report: LintReport) -> None:
    log = json.loads(to_sarif(report.findings, RULES, version="1.2.3"))
    Draft202012Validator(SARIF).validate(log)
    driver = log["runs"][0]["tool"]["driver"]
    assert len(driver["rules"]) == len(RULES)
    for result in log["runs"][0]["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


def test_no_format_shows_the_secret_or_steers_the_terminal(report: LintReport) -> None:
    shown = [
        to_text(report.findings, files=2, texts=report.texts),
        to_json(report.findings, files=2),
        to_github(report.findings, RULES),
        to_sarif(report.findings, RULES, version="1"),
    ]
    assert not any(KEY[:10] in text for text in shown)
    texts = dict.fromkeys(report.texts, "\x1b[31mred\r\x9b\u202e\n" * 20)
    assert to_text(report.findings, files=2, texts=texts).replace("\n", "").isprintable()


def test_colour_is_only_paint(report: LintReport) -> None:
    plain = to_text(report.findings, files=2, texts=report.texts)
    painted = to_text(report.findings, files=2, texts=report.texts, colour=True)
    for code in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[33m"):
        painted = painted.replace(code, "")
    assert painted == plain


def test_a_long_line_is_cut_around_the_place(report: LintReport) -> None:
    finding = next(finding for finding in report.findings if finding.rule == "PS201")
    text = "\n".join(["a" * 500 + "HERE" + "b" * 500] * 20)
    (*_, line, caret, _, _, _, _) = to_text(
        [replace(finding, column=501)], files=1, texts={finding.path: text}
    ).split("\n")
    assert line[caret.index("^") :].startswith("HERE")
    assert len(line) < 120


def test_github_escapes_what_would_end_a_property_or_a_line() -> None:
    finding = LintFinding("PS999", "error", "a,b:c%.md", 1, 2, "100%\r\nsure: yes, no")
    assert to_github([finding], RULES) == (
        "::error file=a%2Cb%3Ac%25.md,line=1,col=2,title=PS999::100%25%0D%0Asure: yes, no\n"
    )
