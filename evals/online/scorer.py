"""The resident scorer: takes answers from their files, has them judged, writes scores. Off the request path, and never needed by it.

Kill it anywhere: an answer's file is deleted only when all its scores are written, what is done is noted beside it, and a score that
is written twice counts once (its id follows from request and check). At most the judgements under way are paid twice.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC
from pathlib import Path
from typing import Final, Protocol, Self

from promptship.adapters.samples import private, waiting
from promptship.adapters.scorer_state import Spending, State, read_state, write_state
from promptship.evals.calls import Calls
from promptship.evals.online.budget import Meter
from promptship.evals.online.judging import Bench, Missing, Rules
from promptship.evals.online.kept import Kept
from promptship.evals.online.redaction import Redaction
from promptship.evals.online.work import Job, Opened, Queue
from promptship.evals.suite_run import Means
from promptship.lifecycle.app import App
from promptship.release.online import Check
from promptship.routing.observation import Score
from promptship.routing.sampling import Sample

_log = logging.getLogger(__name__)

POLL_S: Final = 0.1
STATE_S: Final = 0.5
OPEN_MAX: Final = 5_000
"""Judgements of open files; more files wait."""
OPEN_BYTES_MAX: Final = 64_000_000
RETRY_S: Final = 5.0
RETRY_S_MAX: Final = 60.0
ANEW_S: Final = 15.0
"""So long after an endpoint's fuse has blown it is asked again."""
EXPIRE_S: Final = 60.0
KEPT: Final = "kept"
"""Folder of the data directory for texts that a plan keeps."""
ALL: Final = "*"
"""The budget of all checks together."""


class Spool(Protocol):
    """Where scores go: `promptship.adapters.telemetry.spool.SpoolWriter`."""

    def write(self, record: Score) -> bool:
        """Append one; False: it is not there."""
        ...

    def maintain(self) -> None:
        """Everything to the disk."""
        ...


class Locked:
    """The directory of answers, for one scorer at a time."""

    def __init__(self, directory: Path) -> None:
        private(directory)
        self._file = os.open(directory / ".lock", os.O_WRONLY | os.O_CREAT, 0o600)

    def take(self) -> bool:
        """Whether it is ours now; it is given back when the process ends, however it ends."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


@dataclass(slots=True)
class Budgets:
    """A meter per prompt and check, and one for all of them."""

    app: App
    meters: dict[str, Meter] = field(default_factory=dict)
    _before: dict[str, Spending] = field(default_factory=dict)
    _said: set[tuple[str, str]] = field(default_factory=set)

    def restore(self, state: State | None) -> None:
        """What an earlier process has spent today counts."""
        self._before = dict(state.budgets) if state is not None else {}

    def of(self, prompt: str, check: Check) -> tuple[Meter, ...]:
        """The budgets a check's calls are counted in."""
        own = self._meter(f"{prompt} {check.name}", check.spend_max_usd, check.calls_per_minute)
        # A newer plan may say otherwise; what was spent stays.
        own.spend_max_usd, own.calls_per_minute = check.spend_max_usd, check.calls_per_minute
        return own, self._meter(ALL, self.app.settings.scorer.spend_max_usd, None)

    def told(self) -> dict[str, Spending]:
        """For the state; says once a day that a budget is spent."""
        today = self.app.clock.now().astimezone(UTC).date().isoformat()
        found = {name: one for name, one in self._before.items() if one.day == today}
        for name, meter in self.meters.items():
            is_spent = meter.is_spent
            found[name] = Spending(
                day=meter.day, spent_usd=meter.spent_usd, spend_max_usd=meter.spend_max_usd, is_spent=is_spent
            )
            if is_spent and (name, meter.day) not in self._said:
                self._said.add((name, meter.day))
                _log.warning("the budget of %s for %s is spent: it scores no more today", name, meter.day)
        return found

    def _meter(self, name: str, spend_max_usd: float | None, calls_per_minute: int | None) -> Meter:
        if name not in self.meters:
            meter = Meter(self.app.clock, spend_max_usd, calls_per_minute)
            before = self._before.get(name)
            if before is not None:
                meter.day, meter.spent_usd = before.day, before.spent_usd
            self.meters[name] = meter
        return self.meters[name]


class Scorer:
    """One event loop's work. `spool` takes the scores; `means` are those of the evaluation engine."""

    def __init__(
        self, app: App, means: Means, spool: Spool, *, poll_s: float = POLL_S, retry_s: float = RETRY_S
    ) -> None:
        self._app = app
        self._spool = spool
        self._poll_s = poll_s
        self._retry_s = retry_s
        # The limit of evaluations is not ours, and nothing is kept by content: a cache would hold what judges say about users.
        self._limits = replace(means.limits, spend_max_usd=None, attempts=2, patience_s=60.0)
        self._pause = means.pause
        self._calls = Calls(self._limits, pause=self._pause)
        self._fused_at: float | None = None
        self._directory = app.settings.samples
        self._redaction = Redaction.of(app.settings.scorer.redact)
        self._budgets = Budgets(app)
        self._bench = Bench(app, means, lambda: self._calls, self._budgets.of, self._redaction)
        self._kept = Kept(app.settings.data / KEPT, self._redaction)
        self._opened: dict[str, Opened] = {}
        self._queue = Queue()
        self._tasks: dict[asyncio.Task[Score | Missing], Job] = {}
        self._unscored: Counter[str] = Counter()
        self._state = State(started_at=time.time())
        self._taken_at = self._told_at = self._expired_at = self._close_at = float("-inf")

    async def run(self, stop: Callable[[], bool], on_turn: Callable[[], None] = lambda: None) -> None:
        """Score until `stop` says so; what is under way then is done by the next scorer."""
        self._budgets.restore(read_state(self._app.settings.data))
        try:
            while not stop():
                self._take_in()
                self._begin()
                await self._wait()
                await self._close_done()
                self._tell()
                on_turn()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._told_at = float("-inf")
            self._tell()

    def _take_in(self) -> None:
        if time.monotonic() - self._taken_at < self._poll_s:
            return
        self._taken_at = time.monotonic()
        files = list(waiting(self._directory))
        now_ms = time.time() * 1000
        self._state.files = len(files)
        self._state.lag_s = round(max(0.0, now_ms - files[0].at_ms) / 1000, 3) if files else 0.0
        for file in files:
            held_bytes = sum(opened.bytes for opened in self._opened.values())
            if len(self._queue) + len(self._tasks) >= OPEN_MAX or held_bytes >= OPEN_BYTES_MAX:
                return
            if file.path.name in self._opened:
                continue
            try:
                opened = Opened.of(file)
            except OSError as error:  # a gateway has just deleted it for its age, or the disk refuses
                _log.warning("answers cannot be read: %s", error.strerror)
                continue
            self._state.unreadable += opened.bad
            if opened.bad:
                _log.warning("%d lines were no samples and are deleted", opened.bad)
            self._opened[file.path.name] = opened
            for sample, name in opened.left():
                self._queue.put(Job(opened, sample, name), time.monotonic())

    def _begin(self) -> None:
        """Start what is due; a check whose calls of this minute are used up must not take the others' places."""
        now = time.monotonic()
        self._anew(now)
        while len(self._tasks) < self._app.settings.scorer.concurrency and (job := self._queue.take(now)):
            busy_s = max((m.busy_s(now) for m in self._meters_of(job)), default=0.0)
            if busy_s and not self._is_too_old(job.sample, None):
                self._queue.put(job, now + busy_s)
                continue
            self._tasks[asyncio.create_task(self._judge(job))] = job

    def _meters_of(self, job: Job) -> list[Meter]:
        name = f"{job.sample.prompt} {job.name}"
        return [self._budgets.meters[name]] if name in self._budgets.meters else []

    def _anew(self, now: float) -> None:
        """Calls whose fuse has blown are replaced: the endpoint may be there again."""
        if self._fused_at is None and self._calls.dead:
            self._fused_at = now
        if self._fused_at is not None and now - self._fused_at >= ANEW_S:
            self._calls, self._fused_at = Calls(self._limits, pause=self._pause), None

    async def _judge(self, job: Job) -> Score | Missing:
        if job.score is not None:
            return job.score
        rules = await self._bench.rules(job.sample.plan)
        if self._is_too_old(job.sample, rules):
            return Missing("it could not be scored in time")
        return await self._bench.judge(job.sample, job.name)

    def _is_too_old(self, sample: Sample, rules: Rules | Missing | None) -> bool:
        most_s = self._app.settings.scorer.samples_age_max
        if isinstance(rules, Rules):
            most_s = min(most_s, rules.online.give_up_after)
        return time.time() - sample.at_ms / 1000 > most_s

    async def _wait(self) -> None:
        if not self._tasks:
            await asyncio.sleep(self._poll_s)
            return
        done, _ = await asyncio.wait(self._tasks, timeout=self._poll_s, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            self._settle(self._tasks.pop(task), task.result())

    def _settle(self, job: Job, found: Score | Missing) -> None:
        if isinstance(found, Missing):
            if found.later:
                job.tries += 1
                self._state.retried += 1
                pause_s = min(self._retry_s * 2.0 ** min(job.tries - 1, 10), RETRY_S_MAX)
                self._queue.put(job, time.monotonic() + pause_s)
                return
            self._unscored[found.reason] += 1
        elif not self._spool.write(found):
            job.score = found
            self._state.scores_lost += 1
            self._queue.put(job, time.monotonic() + self._retry_s)
            return
        else:
            self._state.scored += 1
        try:
            job.opened.settle(job.sample.id, job.name, None if isinstance(found, Missing) else found.passed)
        except (
            OSError
        ) as error:  # the file stays, and is done again by the next scorer: its scores count once
            _log.warning("what is done cannot be noted: %s", error.strerror)

    async def _close_done(self) -> None:
        if time.monotonic() < self._close_at:
            return
        for name, opened in list(self._opened.items()):
            if opened.jobs:
                continue
            try:
                await self._keep(opened)
                self._spool.maintain()  # the scores are on the disk before the answers are gone
                opened.file.remove()
            except OSError as error:
                _log.warning("scored answers cannot be kept or deleted: %s", error.strerror)
                self._close_at = time.monotonic() + self._retry_s
            else:
                del self._opened[name]

    async def _keep(self, opened: Opened) -> None:
        for sample in opened.samples.values():
            passed = opened.about(sample)
            if passed is None or sample.id in opened.kept:
                continue
            rules = await self._bench.rules(sample.plan)
            keep = rules.online.keep if isinstance(rules, Rules) else "nothing"
            if isinstance(rules, Rules) and (
                keep == "all" or (keep == "failed" and False in passed.values())
            ):
                self._kept.add(sample, passed=passed, keep_for_s=rules.online.keep_for)
                opened.note_kept(sample.id)

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._expired_at >= EXPIRE_S:
            self._expired_at = now
            self._kept.expire()
        if now - self._told_at < STATE_S:
            return
        self._told_at = now
        state = self._state
        state.at = time.time()
        state.unscored = dict(self._unscored)
        state.waiting = len(self._queue) + len(self._tasks)
        state.budgets = self._budgets.told()
        try:
            write_state(self._app.settings.data, state)
        except OSError as error:
            _log.warning("the scorer's state cannot be written: %s", error.strerror)
