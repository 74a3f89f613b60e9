"""Tables of the documentation say what the code says: keys, defaults, rules, types, codes."""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from promptship import settings as s
from promptship.canary import eprocess
from promptship.evals.assertions import TYPES, AssertionSpec
from promptship.evals.assertions.attacked import REDTEAM
from promptship.evals.judges.labels import COLUMNS
from promptship.evals.redteam.strategies import PLAIN, STRATEGIES
from promptship.evals.reports.formats import Format, format_of
from promptship.evals.suite_file import CaseFile, JudgeSettings, SuiteFile
from promptship.evals.verdict import SuiteOutcome
from promptship.lifecycle.lint import RULES
from promptship.release import online as o
from promptship.release import plan as p
from promptship.release.duration import parse_duration
from promptship.release.policy import Experiment
from promptship.routing.observation import Feedback, Observation
from promptship.settings.people import ApproverGroup
from tests.docs.markdown import ROOT, rows, section

DOCS = ROOT / "docs"
SETTINGS = DOCS / "settings.md"
SECTIONS: dict[str, type[BaseModel]] = {
    "## [repository]": s.RepositorySettings,
    "## [environments.NAME]": s.EnvironmentSettings,
    "## [[freezes]]": s.FreezeSettings,
    "## [github]": s.GitHubSettings,
    "## [gitlab]": s.GitLabSettings,
    "## [ledger]": s.LedgerSettings,
    "## [telemetry]": s.TelemetrySettings,
    "## [server]": s.ServerSettings,
    "## [gateway]": s.GatewaySettings,
    "## [prefect]": s.PrefectSettings,
    "## [watcher]": s.WatcherSettings,
    "## [providers.NAME]": s.ProviderSettings,
    "## [models.ID]": s.ModelSettings,
    "## [evaluation]": s.EvaluationSettings,
    "## [scorer]": s.ScorerSettings,
    "## [retest]": s.RetestSettings,
    "## [otel]": s.OtelSettings,
    "## [[approvers]]": s.Approver,
    "## [approval]": s.ApprovalSettings,
    "### [[approval.groups]]": ApproverGroup,
    "## [slack]": s.SlackSettings,
    "### [plans.NAME]": p.Plan,
    "### [plans.NAME.regression]": p.Regression,
    "### [plans.NAME.canary]": p.Canary,
    "### [[plans.NAME.canary.stages]]": p.Stage,
    "### [[plans.NAME.canary.guardrails]]": p.Guardrail,
    "### [plans.NAME.approval]": p.Approval,
    "### [plans.NAME.experiment]": Experiment,
    "### [plans.NAME.online]": o.Online,
    "### [[plans.NAME.online.checks]]": o.Check,
}
TABLES = {"regression", "canary", "approval", "experiment", "online", "checks", "judge", "groups"}
"""Keys of a plan that are tables of their own."""
WRITTEN = {"assert": "assertion"}
"""Keys that are no word for a field of Python's."""
IN_WORDS = {"stages", "guardrails", "exclude", "segments"}
"""Defaults that are told in words."""


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_setting_is_documented_with_its_default(heading: str) -> None:
    fields = SECTIONS[heading].model_fields
    table = {row[0].strip("`"): row[1] for row in rows(section(SETTINGS, heading))}
    table = {WRITTEN.get(name, name): cell for name, cell in table.items()}
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
        return parse_duration(value)
    return value


def default(model: type[BaseModel], name: str) -> Any:
    field = model.model_fields[name]
    if field.is_required():
        return "required"
    return "none" if field.default is None else field.default


def test_every_section_of_the_settings_is_documented() -> None:
    text = SETTINGS.read_text(encoding="utf-8")
    for name in set(s.Settings.model_fields) - {"root", "data_dir", "default_environment", "plans"}:
        assert re.search(rf"^## \[+{name}[.\]]", text, re.MULTILINE), name
    assert '| `data_dir` | `".promptship"` |' in text
    assert '| `default_environment` | `"production"` |' in text


def test_the_lint_table_is_the_registry() -> None:
    table = rows((DOCS / "prompts.md").read_text(encoding="utf-8").partition("<!-- rules: begin -->")[2])
    wanted = [[rule.id, rule.name, rule.severity, rule.summary] for _, rule in sorted(RULES.items())]
    assert table[: len(wanted)] == wanted
    assert len([row for row in table if row[0].startswith("PS")]) == len(wanted)


def test_every_assertion_type_is_documented() -> None:
    text = (DOCS / "assertions.md").read_text(encoding="utf-8").partition("<!-- assertions: begin -->")[2]
    types = re.findall(r"^\| `([a-z0-9:-]+)` \|", text, re.MULTILINE)
    assert sorted(types) == sorted(name for name in TYPES if not name.startswith("not-"))


def test_every_outcome_of_a_suite_is_documented() -> None:
    outcomes = {row[0].strip("`") for row in rows(section(DOCS / "suites.md", "## The verdict"))}
    assert outcomes == {str(outcome) for outcome in SuiteOutcome}


def named(page: str, heading: str) -> set[str]:
    """What stands in backticks in the first cells of a section's tables."""
    cells = [row[0] for row in rows(section(DOCS / page, heading))]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def keys(model: type[BaseModel]) -> set[str]:
    return {str(field.alias or name) for name, field in model.model_fields.items()}


def test_every_key_of_a_suite_is_documented() -> None:
    assert named("suites.md", "## Cases") == keys(CaseFile) | keys(SuiteFile) - {"cases"}
    assert named("suites.md", "## Assertions") == keys(AssertionSpec)
    assert named("judges.md", "## Name one") == keys(JudgeSettings)


def test_every_report_format_is_documented() -> None:
    endings = named("suites.md", "## Reports")
    assert {format_of(Path(f"report{ending}")) for ending in endings} == set(Format)


def test_every_strategy_and_grader_is_documented() -> None:
    told: set[str] = set()
    for row in rows(section(DOCS / "redteam.md", "## Strategies")):
        family = ""
        for name in re.findall(r"`([^`]+)`", row[0]):
            family = name.partition(":")[0] or family
            told.add(family + name if name.startswith(":") else name)
    assert told == {PLAIN.name, *STRATEGIES}
    assert named("redteam.md", "## Graders") == set(REDTEAM)


def test_every_column_of_labels_is_documented() -> None:
    assert named("judges.md", "## Calibration") == set(COLUMNS)


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
