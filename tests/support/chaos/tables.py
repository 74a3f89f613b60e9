"""What is printed at the end: kills by kind and how long each took to be mended, releases by outcome."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Callable, Sequence

from promptship.release.events import Event
from tests.support.chaos.driver import Chaos, Hurt
from tests.support.chaos.promises import read_lines

_MOVING = frozenset({"requested", "linted", "evaluated", "approved"})
"""After these events a run has something to do at once."""


def summary(chaos: Chaos, seed: int) -> str:
    """Kills, recoveries, releases; plain, aligned text."""
    app = chaos.house.app
    events = [app.ledger.events(row.id) for row in app.ledger.summaries(limit=10_000)]
    diary = read_lines(chaos.house.log)
    recoveries = _recoveries(chaos, events, diary)
    rows = [f"{'killed':<20}{'times':>6}  slowest recovery", ""]
    for kind, times in sorted(Counter(hurt.kind for hurt in chaos.hurts).items()):
        took = [
            found for hurt in chaos.hurts if hurt.kind == kind and (found := recoveries(hurt)) is not None
        ]
        told = f"{max(took):.1f} s until {_UNTIL.get(kind, _MOVED)}" if took else "nothing was waiting for it"
        rows.append(f"{kind:<20}{times:>6}  {told}")
    ends = Counter((one.step.kind, one.phase) for one in chaos.done)
    rows += ["", f"{'releases':<20}{'':>6}  ended"]
    rows += [f"{kind:<20}{times:>6}  {phase}" for (kind, phase), times in sorted(ends.items())]
    answered = sum(note.get("status") == 200 for note in diary)
    lost = len(diary) - answered
    rows += [
        "",
        f"{len(diary)} requests, {answered} answered, {lost} refused or cut off while something was down",
    ]
    return "\n".join([f"seed {seed}", *rows])


_MOVED = "every release on its way had moved"
_UNTIL = {
    "gateway": "a customer had an answer",
    "server": "it answered",
    "prefect": "it answered",
    "watcher": "every canary had been looked at",
    "watcher held still": "every canary had been looked at",
}


def _recoveries(
    chaos: Chaos, events: Sequence[Sequence[Event]], diary: list[dict[str, object]]
) -> Callable[[Hurt], float | None]:
    served = sorted(float(str(note["began"])) for note in diary if note.get("status") == 200)

    def after(times: list[float], at: float) -> float | None:
        place = bisect.bisect_right(times, at)
        return times[place] - at if place < len(times) else None

    def took(hurt: Hurt) -> float | None:
        if hurt.kind == "gateway":
            return after(served, hurt.at + 0.05)
        if hurt.kind in chaos.healthy:
            return after(chaos.healthy[hurt.kind], hurt.at + 0.05)
        if hurt.kind.startswith("watcher"):
            return _slowest(events, hurt.at, frozenset({"stage_started", "looked"}), frozenset({"looked"}))
        return _slowest(events, hurt.at, _MOVING, None)

    return took


def _slowest(
    events: Sequence[Sequence[Event]], at: float, standing: frozenset[str], following: frozenset[str] | None
) -> float | None:
    """Of all releases whose last event before `at` was one of `standing`: the longest time until the next that counts."""
    found = []
    for chain in events:
        before = [event for event in chain if event.at.timestamp() <= at]
        if not before or before[-1].fact.kind not in standing:
            continue
        later = [
            event.at.timestamp() - at
            for event in chain[len(before) :]
            if (event.fact.kind in following if following else event.fact.kind != "stumbled")
        ]
        found += later[:1]
    return max(found, default=None)
