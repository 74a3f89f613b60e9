"""What `promptship eval` prints and writes when a run has ended, and the exit status that follows."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from promptship.cli.eval import Wishes
from promptship.errors import PromptshipError
from promptship.evals.estimate import Estimate
from promptship.evals.promptfoo.model import Note
from promptship.evals.reports.model import Report
from promptship.evals.session import Session
from promptship.evals.verdict import SuiteVerdict
from promptship.numbers import count, money, plural

if TYPE_CHECKING:
    from promptship.evals.judges.calibration import Calibration

T = TypeVar("T")


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
    pass_rate_min: float = 1.0,
    down: Mapping[str, PromptshipError] | None = None,
    calibrations: tuple[Calibration, ...] | None = None,
) -> Report:
    """The report of a run on disk."""
    facts = session.facts
    return Report(
        title=title, id=facts.id, at=facts.at, inputs=inputs or {}, arms=facts.arms, cases=facts.cases,
        verdicts=() if verdict is None else (verdict,), rows=session.rows, notes=tuple(notes), duration_s=duration_s,
        reused=reused, pass_rate_min=pass_rate_min, down=down or {}, calibrations=calibrations,
    )  # fmt: skip


def calibrations_in(root: Path) -> tuple[Calibration, ...]:
    """Every judge's calibration in the repository. A damaged one is said and left out: what the run answered is paid already."""
    from promptship.evals.judges.calibration import kept  # scipy: not before the first request

    found, problems = kept(root)
    for problem in problems:
        print(f"warning: {problem}", file=sys.stderr)
    return found


def say_writing(outputs: Sequence[Path]) -> None:
    """That files are being written, for somebody who watches: thousands of rows take seconds."""
    if outputs and sys.stderr.isatty():
        print(f"writing {', '.join(path.name for path in outputs)} ...", file=sys.stderr, flush=True)


def shown(report: Report, wishes: Wishes, *, outputs: Sequence[Path]) -> int:
    """Print the report, write it to every file that was asked for, and return the exit status that follows from it.

    Endpoints that could not answer are named after it. Its modules are not loaded before the run has ended.
    """
    from promptship.evals.reports.verdicts import conclusion_of
    from promptship.evals.reports.write import publish

    width = shutil.get_terminal_size((110, 24)).columns if sys.stdout.isatty() else 110
    summary = publish(report, outputs, wishes.format, sys.stdout, width=width)
    for path in outputs:
        print(f"wrote {path}", file=sys.stderr)
    if report.down:
        print(f"what was answered is kept: go on with --resume {report.id}", file=sys.stderr)
    for said in dict.fromkeys(str(error) for error in report.down.values()):
        print(f"error: {said}", file=sys.stderr)
    return conclusion_of(report, summary).exit_code


def say_estimate(name: str, planned: Estimate) -> None:
    """What a run would ask and cost, on stdout."""
    cost = "unknown: no price is known"
    if planned.cost_usd is not None:
        cost = f"about {money(planned.cost_usd)}{_at_most(planned.cost_usd, planned.cost_usd_max, money)}"
    asked = f"{plural(planned.calls, 'call')}{_at_most(planned.calls, planned.calls_max, count)}"
    judges = f"{count(planned.judge_calls)}{_at_most(planned.judge_calls, planned.judge_calls_max, count)} of judges"
    print(f"{name}: {plural(planned.trials, 'trial')}, {asked} ({judges})")
    if planned.tokens_in:
        print(f"  about {planned.tokens_in:,} tokens in, {planned.tokens_out:,} out; cost {cost}")
    for model, calls in sorted(planned.unpriced.items()):
        who = f"model {model}" if model else "providers that cannot say what they ask"
        print(f"  without a price: {calls:,} calls of {who}")


def _at_most(usual: T, most: T, shown: Callable[[T], str]) -> str:
    """`, at most 40`; empty when that is the same."""
    return "" if usual == most else f", at most {shown(most)}"
