"""Tables of the documentation say what the code says: keys, defaults, rules, types, codes."""

from __future__ import annotations

import math
import re
import tomllib
from typing import Any

import pytest
from pydantic import BaseModel

from promptship import settings as s
from promptship.canary import eprocess
from promptship.evals.assertions.registry import REGISTRY
from promptship.evals.verdict import SuiteOutcome
from promptship.lifecycle.lint import RULES
from promptship.release import plan as p
from promptship.routing.observation import Feedback, Observation
from tests.docs.markdown import ROOT, rows, section

DOCS = ROOT / "docs"
SETTINGS = DOCS / "settings.md"
SECTIONS: dict[str, type[BaseModel]] = {
    "## [repository]": s.RepositorySettings,
    "## [ledger]": s.LedgerSettings,
    "## [telemetry]": s.TelemetrySettings,
    "## [server]": s.ServerSettings,
    "## [gateway]": s.GatewaySettings,
    "## [prefect]": s.PrefectSettings,
    "## [watcher]": s.WatcherSettings,
    "## [providers.NAME]": s.ProviderSettings,
    "## [models.ID]": s.ModelSettings,
    "## [[approvers]]": s.Approver,
    "## [slack]": s.SlackSettings,
    "### [plans.NAME]": p.Plan,
    "### [plans.NAME.regression]": p.Regression,
    "### [plans.NAME.canary]": p.Canary,
    "### [[plans.NAME.canary.stages]]": p.Stage,
    "### [[plans.NAME.canary.guardrails]]": p.Guardrail,
    "### [plans.NAME.approval]": p.Approval,
}
TABLES = {"regression", "canary", "approval"}
"""Keys of a plan that are tables of their own."""
IN_WORDS = {"stages", "guardrails"}
"""Defaults that are told in words."""


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_setting_is_documented_with_its_default(heading: str) -> None:
    fields = SECTIONS[heading].model_fields
    table = {row[0].strip("`"): row[1] for row in rows(section(SETTINGS, heading))}
    assert set(table) == set(fields) - TABLES
    for name in set(table) - IN_WORDS:
        assert told(table[name]) == default(SECTIONS[heading], name), name


def told(cell: str) -> object:
    """The default that a cell tells; durations as seconds, lists as tuples."""
    if cell in {"required", "none"}:
        return cell
    value = tomllib.loads(f"x = {cell.strip('`')}")["x"]
    value = tuple(value) if isinstance(value, list) else value
    if isinstance(value, str) and re.fullmatch(r"(\d+(ms|s|m|h|d))+", value):
        return p.parse_duration(value)
    return value


def default(model: type[BaseModel], name: str) -> Any:
    field = model.model_fields[name]
    if field.is_required():
        return "required"
    return "none" if field.default is None else field.default


def test_every_section_of_the_settings_is_documented() -> None:
    text = SETTINGS.read_text(encoding="utf-8")
    for name in set(s.Settings.model_fields) - {"root", "data_dir", "plans"}:
        assert re.search(rf"^## \[+{name}[.\]]", text, re.MULTILINE), name
    assert '| `data_dir` | `".promptship"` |' in text


def test_the_lint_table_is_the_registry() -> None:
    table = rows((DOCS / "prompts.md").read_text(encoding="utf-8").partition("<!-- rules: begin -->")[2])
    wanted = [[rule.id, rule.name, rule.severity, rule.summary] for _, rule in sorted(RULES.items())]
    assert table[: len(wanted)] == wanted
    assert len([row for row in table if row[0].startswith("PS")]) == len(wanted)


def test_every_assertion_type_and_outcome_is_documented() -> None:
    page = DOCS / "suites.md"
    types = {
        name for row in rows(section(page, "## Assertions")) for name in re.findall(r"`([a-z-]+)`", row[0])
    }
    assert types == set(REGISTRY)
    outcomes = {row[0].strip("`") for row in rows(section(page, "## The verdict"))}
    assert outcomes == {str(outcome) for outcome in SuiteOutcome}


def test_every_error_code_of_the_gateway_is_documented() -> None:
    sources = (ROOT / "src/promptship/gateway").glob("*.py")
    text = "\n".join(source.read_text(encoding="utf-8") for source in sources)
    codes = set(re.findall(r'Rejection\(\s*[\w.]+,\s*"(\w+)"', text)) | set(re.findall(r'code="(\w+)"', text))
    codes |= set(re.findall(r'code: str = "(\w+)"', text))
    assert len(codes) > 15
    table = rows(section(DOCS / "gateway.md", "## Errors"))
    assert {code for row in table for code in re.findall(r"`(\w+)`", row[1])} == codes


@pytest.mark.parametrize("model", [Observation, Feedback])
def test_everything_that_is_written_down_is_documented(model: type[BaseModel]) -> None:
    text = section(DOCS / "gateway.md", "## What is written down")
    claims = {"request", "request_at_ms"}  # told as "the token's claims"
    assert [name for name in model.model_fields if f"`{name}`" not in text and name not in claims] == []


def test_the_stages_table_is_what_the_default_plan_needs() -> None:
    table = rows((DOCS / "statistics.md").read_text(encoding="utf-8").partition("<!-- stages: begin -->")[2])
    stages = p.Canary().stages
    assert [row[:2] for row in table[: len(stages)]] == [
        [f"{100 * stage.share:g} %", f"{100 * stage.margin:g} %"] for stage in stages
    ]
    for row, stage in zip(table, stages, strict=False):
        for cell, base in zip(row[2:], (0.01, 0.05, 0.1, 0.2), strict=True):
            null = eprocess.unsafe(stage.margin, 0.005, base)
            nats = eprocess.information(null, base, base, stage.share)
            thousands = -math.log(p.Canary().alpha_advance) / nats / 1000
            assert float(cell) == pytest.approx(thousands, rel=0.06)
