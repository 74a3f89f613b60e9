"""Run a release's suites: candidate against stable, every finished trial kept on disk so that none is paid twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptship.errors import Unavailable
from promptship.evals.compare import compare
from promptship.evals.rows import Arm, Row, from_json, to_json
from promptship.evals.runner import run
from promptship.evals.suite import load_suite
from promptship.evals.verdict import SuiteVerdict
from promptship.lifecycle.app import App
from promptship.lifecycle.steps import Standing, evaluated, record_evaluation
from promptship.prompts.digest import from_canonical
from promptship.prompts.model import Prompt
from promptship.release.history import Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The verdict over all suites of a release."""

    stable: str | None
    """Digest that the candidate was compared with."""
    verdict: dict[str, Any]
    passes: bool
    because: str


def run_suites(app: App, release_id: str) -> Standing:
    """The step between lint and canary: run the suites once and write their verdict down. Errors as `evaluate`."""
    standing = evaluated(app, release_id)
    if standing is not None:
        return standing
    outcome = asyncio.run(evaluate(app, release_id))
    return record_evaluation(
        app, release_id, stable=outcome.stable, verdict=outcome.verdict, passes=outcome.passes, because=outcome.because
    )  # fmt: skip


async def evaluate(app: App, release_id: str) -> Evaluation:
    """Run every suite of the release's plan (without any: the suite of the prompt's name).

    Raises:
        Unavailable: a provider is down, or too many trials have no score; what was answered is kept for the next try.
        Refused: a provider does not accept the key.
        ConfigError: a suite does not fit the prompt.
    """
    release = app.release(release_id)
    assert release.plan is not None and release.version is not None  # noqa: S101, PT018 - the fold sets both at Linted
    route = app.routes.get(release.prompt)
    stable = route.stable if route else None
    arms: dict[Arm, Prompt] = {"candidate": _prompt(app, release.prompt, release.version)}
    if stable is not None:
        arms["stable"] = _prompt(app, release.prompt, stable)
    names = release.plan.regression.suites or (release.prompt,)
    try:
        verdicts = [await _one(app, release, name, arms) for name in names]
    finally:
        await app.models.aclose()
    lost = [verdict for verdict in verdicts if verdict.outcome == "unscored"]
    if lost:
        # Missing data never becomes a verdict: not a pass, and not a rejection either. What has a score is not asked again.
        raise Unavailable("; ".join(f"{verdict.suite}: {verdict.because}" for verdict in lost))
    failed = [verdict for verdict in verdicts if not verdict.passes]
    return Evaluation(
        stable=stable,
        verdict={"suites": [verdict.model_dump(mode="json") for verdict in verdicts]},
        passes=not failed,
        because="; ".join(f"{verdict.suite}: {verdict.because}" for verdict in failed or verdicts),
    )


async def _one(app: App, release: Release, name: str, arms: dict[Arm, Prompt]) -> SuiteVerdict:
    assert release.plan is not None  # noqa: S101 - checked by the caller
    rules = release.plan.regression
    suite = load_suite(app.repository.tree(release.commit), app.settings.repository.suites, name)
    kept = app.settings.data / "evaluations" / release.id / f"{name}.jsonl"
    kept.parent.mkdir(parents=True, exist_ok=True)
    finished = tuple(_finished(kept))
    with kept.open("a", encoding="utf-8") as file:

        def keep(row: Row) -> None:
            # A new line first: what a killed run left half written must not swallow this row.
            file.write("\n" + json.dumps(to_json(row)))
            file.flush()

        outcome = await run(
            suite, arms, app.models, trials=rules.trials, on_row=keep, finished=finished,
            concurrency=min((p.concurrency_max for p in app.settings.providers.values()), default=8),
        )  # fmt: skip
    return compare(
        outcome, margin=rules.margin, alpha=rules.alpha,
        unscored_max=rules.unscored_max, pass_rate_min=rules.pass_rate_min,
    )  # fmt: skip


def _prompt(app: App, name: str, digest: str) -> Prompt:
    return from_canonical(name, app.routes.version(digest).content)


def _finished(kept: Path) -> Iterator[Row]:
    """Rows of an earlier run of this release; a torn line is simply asked again."""
    if not kept.exists():
        return
    for line in kept.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            yield from_json(json.loads(line))
        except (ValueError, KeyError, TypeError):
            continue
