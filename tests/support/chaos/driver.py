"""The run itself: a director who pushes and approves, a killer, an observer; then the promises are checked and a table is made."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from promptship.errors import PromptshipError
from promptship.lifecycle.opening import open_release
from promptship.release.phase import OPEN, Phase
from promptship.wiring import secrets
from tests.support.chaos.stacks import House
from tests.support.chaos.story import APPROVER, ENDS, LEASE_S, Step, write_prompt

SETTLED = frozenset(Phase) - OPEN
FLOW_RUN = "flow run"


@dataclass(frozen=True, slots=True)
class Hurt:
    """Something that was killed, and when."""

    kind: str
    at: float
    """Unix time."""


@dataclass(slots=True)
class Doing:
    """A step of the script under way."""

    step: Step
    commit: str
    pushed_at: float
    release: str = ""
    asked_at: float | None = None
    phase: str = ""


@dataclass(slots=True)
class Chaos:
    """One seeded run on one house; threads share nothing but these lists, which they only append to."""

    house: House
    script: dict[str, list[Step]]
    chance: random.Random
    pauses_s: tuple[float, float]
    """Shortest and longest pause between two kills."""
    rounds: int = 1
    """So many times every kind, in a new order each time; parts that die for ever would show nothing but that."""
    deadline_s: float = 900.0
    hurts: list[Hurt] = field(default_factory=list)
    renewed: dict[str, list[float]] = field(default_factory=dict)
    """By release: times of looks that renewed its lease, Unix seconds; a look without news leaves no event."""
    healthy: dict[str, list[float]] = field(default_factory=lambda: {"server": [], "prefect": []})
    done: list[Doing] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    """The first releases were pushed."""
    spent: threading.Event = field(default_factory=threading.Event)
    """The killer has nothing left to do."""

    def run(self) -> None:
        """Until every release of the script is where it must end, or time is up; then the killing stops and parts recover."""
        threads = [
            threading.Thread(target=self._guarded, args=(work,), daemon=True)
            for work in (self._kill, self._lie_in_wait, self._observe, self._ask_for_health)
        ]
        for thread in threads:
            thread.start()
        try:
            self._direct()
        finally:
            self.over.set()
            for thread in threads:
                thread.join(120)

    def _guarded(self, work: Any) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - a thread must not fail unseen
            self.problems.append(f"the chaos itself failed: {error!r}")

    # -- the director ----------------------------------------------------------------------------------------------------

    def _direct(self) -> None:
        waiting = {prompt: deque(steps) for prompt, steps in self.script.items()}
        doing: dict[str, Doing] = {}
        deadline = time.monotonic() + self.deadline_s
        while (any(waiting.values()) or doing or not self.spent.is_set()) and time.monotonic() < deadline:
            free = [prompt for prompt in waiting if prompt not in doing and waiting[prompt]]
            doing |= self._push([waiting[prompt].popleft() for prompt in free])
            self.begun.set()
            for prompt, one in list(doing.items()):
                if self._is_over(one):
                    self.done.append(doing.pop(prompt))
            time.sleep(0.2)
        for one in doing.values():
            self.done.append(one)
            self.problems.append(f"{one.release} of {one.step} is stuck: {one.phase or 'never opened'}")

    def _push(self, steps: list[Step]) -> dict[str, Doing]:
        """One commit with all that may begin; by prompt."""
        if not steps:
            return {}
        for step in steps:
            write_prompt(self.house.clone, step.prompt, step.edition, step.kind)
        self.house._commit(", ".join(f"{step.prompt}: {step.kind}" for step in steps))
        commit = self.house.git("rev-parse", "HEAD").strip()
        return {step.prompt: Doing(step, commit, time.monotonic()) for step in steps}

    def _is_over(self, one: Doing) -> bool:
        """Move a step along as people would; whatever is down is tried again."""
        app = self.house.app
        try:
            if not one.release:
                found = [
                    row for row in app.ledger.summaries(prompt=one.step.prompt) if row.commit == one.commit
                ]
                if found:
                    one.release = found[0].id
                elif (
                    time.monotonic() - one.pushed_at > 3
                ):  # the hook found nobody; the manual says what to do
                    one.release = open_release(
                        app, prompt=one.step.prompt, ref=one.commit, actor="person:chaos"
                    ).release_id
                return False
            release = app.release(one.release)
            one.phase = release.phase.value
            if release.phase is Phase.AWAITING_APPROVAL:
                if one.step.kind != "good":
                    return True  # nobody says yes; a bad one that gets here is told as not ended right
                self._approve(one)
            return release.phase in SETTLED
        except (PromptshipError, OSError, httpx.HTTPError):
            return False

    def _approve(self, one: Doing) -> None:
        one.asked_at = one.asked_at or time.monotonic()
        if time.monotonic() - one.asked_at < one.step.approve_after_s:
            return
        key = {"Authorization": f"Bearer {secrets(self.house.app.settings).token}"}
        url = f"{self.house.url('4280')}/api/releases/{one.release}/approve"
        httpx.post(url, json={"who": APPROVER, "reason": "numbers are good"}, headers=key, timeout=10)

    # -- the killer ------------------------------------------------------------------------------------------------------

    def _kill(self) -> None:
        """Each kind in random order, `rounds` times, with random pauses."""
        kinds = {kind: hurt for kind, hurt in self.house.kinds().items() if kind != FLOW_RUN}
        left = [kind for _ in range(self.rounds) for kind in self.chance.sample(sorted(kinds), len(kinds))]
        self.begun.wait(self.deadline_s)
        while left and not self.over.wait(self.chance.uniform(*self.pauses_s)):
            kind = left.pop()
            if (at := kinds[kind]()) is not None:
                self.hurts.append(Hurt(kind, at))
        self.spent.set()

    def _lie_in_wait(self) -> None:
        """Runs are short: wait until there is one, let it get somewhere, and kill it; `rounds` times."""
        chance = random.Random(self.chance.random())
        hurt, left = self.house.kinds()[FLOW_RUN], self.rounds
        while left and not self.over.wait(0.1):
            if not self.house.flow_runs() or self.over.wait(chance.uniform(0, 1)):
                continue
            if (at := hurt()) is not None:
                self.hurts.append(Hurt(FLOW_RUN, at))
                left -= 1
                self.over.wait(chance.uniform(*self.pauses_s))

    # -- the observer ----------------------------------------------------------------------------------------------------

    def _observe(self) -> None:
        """Until when each canary's lease runs, as the ledger says: the time of the look that renewed it follows."""
        while not self.over.wait(0.2):
            try:
                routes = self.house.app.routes.table().routes.values()
            except (PromptshipError, OSError):
                continue
            now = time.time()
            for route in routes:
                if route.split is not None and route.split.lease_s > 0:
                    looked_at = now + route.split.lease_s - LEASE_S
                    self.renewed.setdefault(route.split.release_id, []).append(looked_at)

    def _ask_for_health(self) -> None:
        while not self.over.wait(0.2):
            for part, times in self.healthy.items():
                began = time.time()
                if self.house.answers(part):
                    times.append(began)


def expected(done: Sequence[Doing]) -> list[str]:
    """Releases that did not end as their kind must."""
    return [
        f"{one.release} ({one.step.kind} of {one.step.prompt}) is {one.phase}, not {ENDS[one.step.kind]}"
        for one in done
        if one.phase != ENDS[one.step.kind]
    ]
