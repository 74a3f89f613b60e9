"""How far a run is: numbers for anybody, one moving line on a terminal, a quiet line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TextIO

from promptship.evals.rows import Row
from promptship.evals.score import Scored

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

QUIET_S: Final = 15.0
"""Between two lines where nobody watches; a shorter run says nothing."""
DRAW_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a run stands."""

    total: int
    """Trials in all."""
    done: int = 0
    reused: int = 0
    """Of those done: taken over from an earlier run of the same id, or answered from the cache."""
    failed: int = 0
    unscored: int = 0
    spent_usd: float = 0.0
    """What is known of the cost, judges included."""
    seconds: float = 0.0
    """Since the run began."""

    @property
    def per_s(self) -> float:
        """Trials per second, those taken over apart; 0: unknown yet."""
        new = self.done - self.reused
        return new / self.seconds if new > 0 and self.seconds > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds until the end at this rate; None: nobody knows yet."""
        if self.done >= self.total:
            return 0.0
        return (self.total - self.done) / self.per_s if self.per_s else None

    def line(self) -> str:
        """One line for people."""
        words = [f"{self.done:,} of {self.total:,} trials"]
        words += [f"{self.failed:,} failed"] if self.failed else []
        words += [f"{self.unscored:,} without a score"] if self.unscored else []
        words += [f"{self.reused:,} not paid again"] if self.reused else []
        words += [f"{self.spent_usd:,.2f} USD"] if self.spent_usd >= 0.005 else []  # noqa: PLR2004 - a cent, rounded
        words += [f"{shown(self.left_s)} left"] if self.left_s else []
        return ", ".join(words)


class Meter:
    """Counts rows (`promptship.evals.runner.Progress`) and tells `show` where the run stands, not more often than `every_s`."""

    def __init__(
        self,
        total: int,
        show: Callable[[Standing], None],
        *,
        every_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._show, self._every_s, self._clock = show, every_s, clock
        self._total = total
        self._done = self._reused = self._failed = self._unscored = 0
        self._spent_usd = 0.0
        self._began = self._shown = clock()

    def __call__(self, row: Row, reused: bool) -> None:
        """One more row."""
        self._done += 1
        self._reused += reused or row.cached
        if not isinstance(row.score, Scored):
            self._unscored += 1
        elif not row.score.passed:
            self._failed += 1
        if not reused:
            self._spent_usd += (row.cost_usd or 0.0) + row.judge_cost_usd
        now = self._clock()
        if now - self._shown >= self._every_s:
            self._shown = now
            self._show(self.standing())

    def standing(self) -> Standing:
        """Now."""
        return Standing(
            total=self._total, done=self._done, reused=self._reused, failed=self._failed, unscored=self._unscored,
            spent_usd=self._spent_usd, seconds=self._clock() - self._began,
        )  # fmt: skip


class Watch:
    """Shows a run on `stream` (standard error): `with Watch(total) as progress: await run(..., progress=progress)`.

    On a terminal one line that moves; elsewhere a line every QUIET_S seconds.
    """

    def __init__(self, total: int, *, stream: TextIO | None = None, title: str = "") -> None:
        self._stream = stream or sys.stderr
        self._title = title
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._moves = self._stream.isatty()
        self.meter = Meter(total, self._show, every_s=DRAW_S if self._moves else QUIET_S)

    def __enter__(self) -> Meter:
        return self.meter

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._show(self.meter.standing())
            self._bar.stop()

    def _show(self, standing: Standing) -> None:
        if not self._moves:
            print(self._named(standing), file=self._stream, flush=True)
            return
        if self._bar is None:
            self._bar = _bar(self._stream)  # only now: the first request did not have to wait for it
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=standing.total)
        assert self._task is not None  # noqa: S101 - set with the bar
        self._bar.update(self._task, completed=standing.done, description=self._named(standing))

    def _named(self, standing: Standing) -> str:
        return f"{self._title}: {standing.line()}" if self._title else standing.line()


def shown(seconds: float | None) -> str:
    """A duration for people; empty: unknown."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004 - a minute
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:  # noqa: PLR2004 - an hour
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def _bar(stream: TextIO) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as RichProgress

    columns: tuple[Any, ...] = (BarColumn(bar_width=24), TextColumn("{task.description}", markup=False))
    return RichProgress(*columns, console=Console(file=stream), transient=True)
