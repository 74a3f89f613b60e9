"""Native suites for `promptship eval`: candidate against stable with a verdict, or prompts x models side by side."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from promptship.cli.eval import Wishes
from promptship.cli.eval_output import calibrations_in, report_of, resumable, say_estimate, say_writing, shown
from promptship.cli.eval_ready import Native, Ready, ready_of
from promptship.errors import ConfigError, Problem
from promptship.evals.budget import pricing
from promptship.evals.calls import Calls
from promptship.evals.cases import Suite
from promptship.evals.estimate import Estimate, estimate
from promptship.evals.judges.settling import native_settle
from promptship.evals.native import (
    arm_facts,
    asking_of,
    case_facts,
    inputs_digest,
    native_groups,
    trials_of,
)
from promptship.evals.progress import Watch
from promptship.evals.regression import equipped, regress
from promptship.evals.session import Session
from promptship.evals.suite_run import Means, lost, run_suite, silent


def run(wishes: Wishes, native: Native) -> int:
    """Exit status of the run, after its reports are written."""
    ready = ready_of(wishes, native)
    if wishes.resume is not None and len(ready.suites) > 1:
        raise ConfigError(
            [
                Problem(
                    "promptship eval",
                    "--resume",
                    wishes.resume,
                    "one run is one suite",
                    "name it with --suite",
                )
            ]
        )
    return asyncio.run(_run(ready, wishes, native))


async def _run(ready: Ready, wishes: Wishes, native: Native) -> int:
    async with equipped(
        ready.settings, cache=wishes.cache and ready.settings.evaluation.cache, concurrency=wishes.concurrency,
        adaptive=wishes.adaptive, spend_max_usd=wishes.spend_max_usd, allow_unpriced=wishes.allow_unpriced,
    ) as means:  # fmt: skip
        if wishes.dry_run:
            for suite in ready.suites:
                say_estimate(suite.name, _estimate(ready, suite, means))
            return 0
        return max([await _one(ready, suite, means, wishes, native) for suite in ready.suites])


def _estimate(ready: Ready, suite: Suite, means: Means) -> Estimate:
    """What the run would ask at most: nothing from the cache, no early end."""
    ask = asking_of(means.models, Calls())
    groups = native_groups(
        suite, ready.arms, ask, trials=ready.rules.trials, incomparable=ready.incomparable[suite.name]
    )
    return estimate(groups, pricing(ready.settings))


async def _one(ready: Ready, suite: Suite, means: Means, wishes: Wishes, native: Native) -> int:
    """One suite: its session, its rows, its report; returns the exit status."""
    arms, rules = ready.arms, ready.rules
    incomparable = ready.incomparable[suite.name]
    total = trials_of(suite, arms, rules.trials, incomparable)
    digest = inputs_digest(suite, arms, rules.trials, endpoint=means.endpoint, scripts=ready.scripts)
    data = ready.settings.data
    session = (
        Session.resume(data, wishes.resume, digest=digest)
        if wishes.resume is not None
        else Session.create(
            data, what=f"suite {suite.name}", digest=digest, arms=arm_facts(arms), cases=case_facts(suite), trials=total
        )
    )  # fmt: skip
    print(f"run {session.facts.id}: {total:,} trials of suite {suite.name}", file=sys.stderr)
    began = time.monotonic()
    with session, resumable(session):
        with Watch(total, title=suite.name) as progress:
            if ready.compares:
                done = await regress(
                    suite, arms, rules, means, on_row=session.add, finished=session.rows(), progress=progress,
                    stop_early=native.stop_early, incomparable=incomparable,
                )  # fmt: skip
                verdict, ran, down = done.verdict, done.ran, lost(done.ran)
            else:
                verdict = None
                _, ran = await run_suite(
                    suite, arms, means, trials=rules.trials, on_row=session.add, finished=session.rows(),
                    progress=progress, settle=native_settle(suite), incomparable=incomparable,
                )  # fmt: skip
                down = silent(ran, session.rows())
        inputs = {"suite": suite.path, "trials": _trials(suite, rules.trials)}
        if ready.compares and "stable" in arms:
            inputs["against"] = native.against or "HEAD"
        report = report_of(
            session, title=f"suite {suite.name}", verdict=verdict, inputs=inputs, duration_s=time.monotonic() - began,
            reused=ran.reused, down=down, calibrations=calibrations_in(ready.settings.root),
        )  # fmt: skip
        outputs = _outputs(wishes, suite, ready)
        say_writing(outputs)
        return shown(report, wishes, outputs=outputs)


def _trials(suite: Suite, default: int) -> str:
    """How often each case is asked: `3`, or `1 to 5`."""
    asked = [suite.trials(case, default) for case in suite.cases]
    least, most = min(asked), max(asked)
    return str(least) if least == most else f"{least} to {most}"


def _outputs(wishes: Wishes, suite: Suite, ready: Ready) -> tuple[Path, ...]:
    """With several suites each has files of its own: report.html becomes report-<suite>.html."""
    if len(ready.suites) == 1:
        return wishes.outputs
    return tuple(path.with_stem(f"{path.stem}-{suite.name}") for path in wishes.outputs)
