"""A few limited processes of one kind and the queue before them."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final

from promptship.evals.scripts import frames
from promptship.evals.scripts.process import Sandbox, WorkerProcess
from promptship.evals.services import ScriptFailed

BATCH_BYTES_MAX: Final = 1 << 18
GRACE_S: Final = 2.0
"""How much longer than its limit a script may take before the process group is killed from outside."""
START_S: Final = 20.0
"""A new process may need this long for its first answer on a busy machine."""
HURRY_S: Final = 0.03
"""A request that waits so long gets one more process, as long as there are fewer than `size`."""


@dataclass(eq=False, slots=True)
class Job:
    """One request."""

    head: bytes
    body: bytes
    limit_s: float
    answer: asyncio.Future[tuple[int, bytes]]
    alone: bool = False
    """A process died while it was in the batch: it is asked again by itself, to find who did it."""
    killed: bool = False
    """The process was killed from outside once before while it ran."""


class Workers:
    """Hands requests to at most `size` processes, each with at most `batch_max` at a time, one after another.

    Starts a process when it is needed and keeps it. A process that dies costs the one request that it was running; those of its
    batch that had not run are asked again.
    """

    def __init__(self, sandbox: Sandbox, *, size: int, batch_max: int) -> None:
        self._sandbox = sandbox
        self._size = size
        self._batch_max = batch_max
        self._queue: deque[Job] = deque()
        self._idle: list[WorkerProcess] = []
        self._running: dict[WorkerProcess, dict[int, Job]] = {}
        self._deadlines: dict[WorkerProcess, float] = {}
        self._all: set[WorkerProcess] = set()
        self._starting: asyncio.Task[None] | None = None
        self._numbers = count(1)
        self._pumping = False
        self._hurrying = False
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """Of the living processes."""
        return [worker.pid for worker in self._all]

    async def ask(self, head: bytes, body: bytes, limit_s: float) -> tuple[int, bytes]:
        """Status and body of the answer. Raises ScriptFailed when the process died or took too long."""
        if self._closed:
            raise ScriptFailed("the pool of scripts is closed")
        job = Job(head, body, limit_s, asyncio.get_running_loop().create_future())
        self._queue.append(job)
        self._pump_soon()
        try:
            return await job.answer
        except asyncio.CancelledError:
            self._abandon(job)
            raise

    async def close(self) -> None:
        """End all processes; what is still running fails."""
        self._closed = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        for worker in list(self._all):
            await worker.stop()
        for job in self._queue:
            _fail(job, "the pool of scripts was closed")
        self._queue.clear()

    # From the queue to a process

    def _pump_soon(self) -> None:
        # Once per turn of the event loop: what was asked in the same turn travels in one write.
        if not self._pumping:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        while self._idle and (batch := list(self._batch())):
            self._give(self._idle.pop(), batch)
        if not self._queue or self._closed or self._starting is not None or len(self._all) >= self._size:
            return
        if not self._all:
            self._start()
        elif not self._hurrying:
            self._hurrying = True
            asyncio.get_running_loop().call_later(HURRY_S, self._hurry, self._queue[0])

    def _hurry(self, waiting: Job) -> None:
        self._hurrying = False
        if (
            self._queue
            and self._queue[0] is waiting
            and self._starting is None
            and len(self._all) < self._size
        ):
            self._start()
        elif self._queue:
            self._pump_soon()

    def _batch(self) -> Iterator[Job]:
        taken, size = 0, 0
        while self._queue and taken < self._batch_max and size < BATCH_BYTES_MAX:
            if self._queue[0].alone and taken:
                return
            job = self._queue.popleft()
            if job.answer.done():
                continue
            yield job
            if job.alone:
                return
            taken += 1
            size += len(job.body)

    def _give(self, worker: WorkerProcess, batch: list[Job]) -> None:
        running = self._running[worker] = dict(zip(self._numbers, batch, strict=False))
        patience_s = START_S if worker.fresh else GRACE_S
        loop = asyncio.get_running_loop()
        self._deadlines[worker] = loop.time() + batch[0].limit_s + patience_s
        loop.call_at(self._deadlines[worker], self._watch, worker, self._deadlines[worker])
        worker.send(b"".join(frames.request(number, job.head, job.body) for number, job in running.items()))

    def _watch(self, worker: WorkerProcess, since: float) -> None:
        """Kill a process that has said nothing for too long."""
        deadline = self._deadlines.get(worker)
        if deadline is None:
            return
        if deadline > since:
            asyncio.get_running_loop().call_at(deadline, self._watch, worker, deadline)
        else:
            worker.overdue = True
            worker.kill()

    # From a process back

    def _answered(self, worker: WorkerProcess, number: int, status: int, body: bytes) -> None:
        running = self._running[worker]
        job = running.pop(number)  # a KeyError, too, ends the process that says such things
        if not job.answer.done():
            job.answer.set_result((status, body))
        if status == frames.LAST:
            self._deadlines[worker] = asyncio.get_running_loop().time() + GRACE_S  # for its end
        elif running:
            following = next(iter(running.values()))
            self._deadlines[worker] = asyncio.get_running_loop().time() + following.limit_s + GRACE_S
        else:
            del self._deadlines[worker]
            self._idle.append(worker)
            if self._queue:
                self._pump_soon()

    def _lost(self, worker: WorkerProcess, status: int) -> None:
        self._all.discard(worker)
        self._deadlines.pop(worker, None)
        if worker in self._idle:
            self._idle.remove(worker)
        left = [job for job in self._running.pop(worker, {}).values() if not job.answer.done()]
        from_outside = status == -signal.SIGKILL and not worker.overdue
        again: list[Job] = []
        for job in left:
            # Nobody knows how far a batch had come. Its members change nothing, so that they may run twice.
            if not self._closed and (len(left) > 1 or (from_outside and not job.killed)):
                job.alone, job.killed = True, job.killed or from_outside
                again.append(job)
            else:
                _fail(job, _epitaph(status, job.limit_s, overdue=worker.overdue))
        self._queue.extendleft(reversed(again))
        if self._queue and not self._closed:
            self._pump_soon()

    def _abandon(self, job: Job) -> None:
        """Nobody waits any more: a process that runs nothing else is better ended."""
        for worker, running in self._running.items():
            if len(running) == 1 and job in running.values():
                worker.kill()

    def _start(self) -> None:
        self._starting = asyncio.get_running_loop().create_task(self._started())

    async def _started(self) -> None:
        try:
            worker = await WorkerProcess.start(self._sandbox, self._answered, self._lost)
        except OSError as error:
            while self._queue:
                _fail(self._queue.popleft(), f"{self._sandbox.python} does not start", str(error))
            return
        finally:
            self._starting = None
        self._all.add(worker)
        self._idle.append(worker)
        self._pump_soon()


def _fail(job: Job, reason: str, detail: str = "") -> None:
    if not job.answer.done():
        job.answer.set_exception(ScriptFailed(reason, detail))


def _epitaph(status: int, limit_s: float, *, overdue: bool) -> str:
    if overdue or status == -signal.SIGALRM:
        return f"the script took longer than {limit_s:g} s"
    ending = f"signal {-status}" if status < 0 else f"status {status}"
    return f"the script ended its process with {ending}"
