"""What Prefect's pages show of a release: its lint, suite and canary verdicts as artifacts. The ledger holds the originals."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import wraps

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from promptship.evals.reports.markdown import to_markdown
from promptship.evals.verdict import SuiteVerdict
from promptship.lifecycle.app import App
from promptship.release import events as e
from promptship.render.verdict import verdict_from, verdict_markdown
from promptship.tasks.evaluation import evaluations
from promptship.tasks.gate import gate_markdown, gates

_log = logging.getLogger(__name__)


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
    for suite in (verdict or {}).get("suites", []):  # type: ignore[attr-defined]
        report = SuiteVerdict.model_validate(suite)
        create_markdown_artifact(
            key=_key("suite", release_id, report.suite), markdown=to_markdown(report),
            description=f"Suite {report.suite} of release {release_id}",
        )  # fmt: skip


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
