"""What `promptship eval` prints and writes when a run has ended, and the exit status that follows."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from promptship.cli.eval import Wishes
from promptship.errors import PromptshipError, Unavailable
from promptship.evals.estimate import Estimate
from promptship.evals.promptfoo.model import Note
from promptship.evals.reports.model import Report
from promptship.evals.session import Session
from promptship.evals.verdict import SuiteVerdict
from promptship.render.numbers import money

if TYPE_CHECKING:
    from promptship.evals.reports.summary import Summary

NOTHING = 0
NO = 1


@contextmanager
def resumable(session: Session) -> Iterator[None]:
    """Say how to go on with a run that ends before its report: by Ctrl-C, or because a provider is down."""
    try:
        yield
    except (PromptshipError, asyncio.CancelledError):
        print(f"stopped; what was answered is kept: go on with --resume {session.facts.id}", file=sys.stderr)
        raise


def report_of(
    session: Session,
    *,
    title: str,
    verdict: SuiteVerdict | None = None,
    inputs: Mapping[str, str] | None = None,
    notes: Sequence[Note] = (),
    duration_s: float | None = None,
    reused: int = 0,
) -> Report:
    """The report of a run on disk."""
    facts = session.facts
    return Report(
        title=title, id=facts.id, at=facts.at, inputs=inputs or {}, arms=facts.arms, cases=facts.cases,
        verdicts=() if verdict is None else (verdict,), rows=session.rows, notes=tuple(notes), duration_s=duration_s,
        reused=reused,
    )  # fmt: skip


def shown(report: Report, wishes: Wishes, *, outputs: Sequence[Path]) -> int:
    """Print the report, write it to every file that was asked for, and return the exit status that follows from it.

    Its modules are not loaded before the run has ended.
    """
    from promptship.evals.reports.write import publish

    width = shutil.get_terminal_size((110, 24)).columns if sys.stdout.isatty() else 110
    summary = publish(report, outputs, wishes.format, sys.stdout, width=width)
    for path in outputs:
        print(f"wrote {path}", file=sys.stderr)
    return _status(report, summary)


def _status(report: Report, summary: Summary) -> int:
    """0: everything passes; 1: something does not; 3: too much has no score for an answer."""
    if report.verdicts:
        if any(verdict.outcome == "unscored" for verdict in report.verdicts):
            return Unavailable.exit_code
        return NOTHING if all(verdict.passes for verdict in report.verdicts) else NO
    if summary.totals.failed:
        return NO
    return Unavailable.exit_code if summary.totals.unscored else NOTHING


def say_estimate(name: str, planned: Estimate) -> None:
    """What a run would ask and cost, on stdout."""
    cost = "unknown: no price is known" if planned.cost_usd is None else f"about {money(planned.cost_usd)}"
    print(f"{name}: {planned.trials:,} trials, {planned.calls:,} calls ({planned.judge_calls:,} of judges)")
    if planned.tokens_in:
        print(f"  about {planned.tokens_in:,} tokens in, {planned.tokens_out:,} out; cost {cost}")
    for model, calls in sorted(planned.unpriced.items()):
        who = f"model {model}" if model else "providers that cannot say what they ask"
        print(f"  without a price: {calls:,} calls of {who}")
