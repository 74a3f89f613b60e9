"""What Prefect's pages show of a release: its lint, suite and canary verdicts as artifacts. The ledger holds the originals."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from typing import Final

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from promptship.evals.native import arm_facts, case_facts
from promptship.evals.reports.markdown import LENGTH_MAX, report_markdown, to_markdown
from promptship.evals.reports.model import Report
from promptship.evals.reports.ordered import Ordered
from promptship.evals.reports.totals import cost
from promptship.evals.rows import Row, from_json, to_json
from promptship.evals.score import Scored
from promptship.evals.verdict import SuiteVerdict
from promptship.lifecycle.app import App
from promptship.release import events as e
from promptship.render.redact import redact, redact_data
from promptship.render.verdict import verdict_from, verdict_markdown
from promptship.tasks.evaluation import Assignment, assigned, evaluations, finished, stable_now
from promptship.tasks.gate import gate_markdown, gates

_log = logging.getLogger(__name__)
_NAMES: Final = ("case", "arm", "trial", "digest", "sent")
"""Of a row: what the redactor leaves alone, or was redacted already."""


def shown(report: Callable[[App, str], None]) -> Callable[[App, str], None]:
    """A report that cannot be made is missed; it must not keep a release from going on."""

    @wraps(report)
    def attempt(app: App, release_id: str) -> None:
        try:
            report(app, release_id)
        except Exception as error:  # noqa: BLE001 - whatever it is; its text may quote answers, so it is not logged
            kind = type(error).__name__
            _log.warning("the %s report of release %s is not shown: %s", report.__name__, release_id, kind)

    return attempt


@shown
def lint(app: App, release_id: str) -> None:
    """Findings as a table."""
    facts = [event.fact for event in app.ledger.events(release_id, looks=False)]
    found = [fact for fact in facts if isinstance(fact, e.Linted | e.Rejected)]
    rows = [dict(finding) for fact in found for finding in fact.findings]
    key, title = _key("lint", release_id), f"Lint of release {release_id}"
    if rows:
        create_table_artifact(key=key, table=rows, description=title)
    elif found:
        create_markdown_artifact(key=key, markdown="No findings.", description=title)


@shown
def regression(app: App, release_id: str) -> None:
    """Per suite what its gate said, and its report once there is a verdict."""
    for one in gates(evaluations(app, release_id)):
        create_markdown_artifact(
            key=_key("suite-gate", release_id, one.suite), markdown=gate_markdown(one),
            description=f"What was found in suite {one.suite} of release {release_id} before it was run",
        )  # fmt: skip
    verdict = app.release(release_id).suite_verdict
    verdicts = [SuiteVerdict.model_validate(one) for one in (verdict or {}).get("suites", [])]  # type: ignore[attr-defined]
    if not verdicts:
        return
    compared = any(said.stable is not None for said in verdicts)
    work = assigned(app, release_id, stable=stable_now(app, release_id) if compared else None)
    for said in verdicts:
        create_markdown_artifact(
            key=_key("suite", release_id, said.suite), markdown=suite_markdown(work, said),
            description=f"Suite {said.suite} of release {release_id}",
        )  # fmt: skip


def suite_markdown(work: Assignment, verdict: SuiteVerdict) -> str:
    """The verdict with its changed cases and why they changed, as in a pull request; without secrets.

    The reasons stand in the rows, which only the machine has that asked: elsewhere it is the verdict alone.
    """
    return suite_told(work, verdict)[0]


def suite_told(work: Assignment, verdict: SuiteVerdict, *, length_max: int = LENGTH_MAX) -> tuple[str, str]:
    """The same in at most `length_max` characters, and what the answers cost (empty: the rows are elsewhere)."""
    suite = next((one for one in work.suites if one.name == verdict.suite), None)
    if suite is None:
        return redact(to_markdown(verdict))[:length_max], ""

    def rows() -> Iterator[Row]:
        return (_without_secrets(row) for row in finished(work.directory, suite))

    report = Report(
        title=f"suite {suite.name}",
        arms=arm_facts(work.arms),
        cases=case_facts(suite),
        verdicts=(verdict,),
        rows=rows,
    )
    with Ordered(report) as ordered:
        arms = (verdict.candidate, verdict.stable)
        judged = sum(arm.trials + arm.unscored for arm in arms if arm is not None)
        if ordered.summary.totals.rows != judged:
            return redact(to_markdown(verdict))[:length_max], ""
        told = redact(report_markdown(report, ordered.summary, length_max=length_max))
        return told, cost(ordered.summary.totals)


def _without_secrets(row: Row) -> Row:
    """Before the text is escaped for Markdown: the redactor knows no key with backslashes in it."""
    row = replace(row, answers=(), value=None)
    if isinstance(row.score, Scored) and row.score.passed:
        return row  # of it only numbers are shown
    known = to_json(row)
    try:
        known["sent"] = json.dumps(redact_data(json.loads(row.sent)))
    except (ValueError, RecursionError):
        known["sent"] = ""
    return from_json({**redact_data(known), **{name: known[name] for name in _NAMES}})


@shown
def canary(app: App, release_id: str) -> None:
    """The last look's verdict."""
    release = app.release(release_id)
    if release.last_look is None:
        return
    verdict = verdict_from(release.last_look.verdict)
    if verdict is not None:
        create_markdown_artifact(
            key=_key("canary", release_id), markdown=verdict_markdown(verdict),
            description=f"Look {verdict.look} of release {release_id} of {release.prompt}",
        )  # fmt: skip


def _key(*words: str) -> str:
    """Prefect's artifact keys: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")
