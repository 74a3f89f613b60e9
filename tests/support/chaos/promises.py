"""What must hold however often something was killed; told from the ledger, the spools and the customers' diary."""

from __future__ import annotations

import bisect
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from promptship.adapters.database import connect
from promptship.adapters.telemetry.tables import TOTAL_MS
from promptship.canary.evidence import Outcome, Verdict
from promptship.release.phase import OPEN, Phase
from tests.support.chaos.driver import Chaos, expected
from tests.support.chaos.story import LEASE_S

SLACK_S = 3.0
"""Of two clocks, a push of routes, and a machine with too much to do."""
COUNTED_S_MAX = 90.0
_ENDS = {phase.value for phase in frozenset(Phase) - OPEN}


def broken(chaos: Chaos) -> list[str]:
    """Every promise that was not kept, a line each."""
    app = chaos.house.app
    diary = read_lines(chaos.house.log)
    events = {row.id: app.ledger.events(row.id) for row in app.ledger.summaries(limit=10_000)}
    return [
        *chaos.problems,
        *expected(chaos.done),
        *app.ledger.verify().problems,
        *(problem for one in events.values() for problem in _release(one)),
        *_one_canary_at_a_time(events),
        *_spool(chaos, diary),
        *_unwatched(chaos, events, diary),
        *_served(chaos, diary),
    ]


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The lines of a JSONL file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]


def _release(events: Any) -> Iterator[str]:
    """Nothing twice; promoted only after its own verdict and its own approval."""
    name = events[0].release_id
    kinds = [event.fact.kind for event in events]
    for kind in (
        "requested",
        "linted",
        "evaluated",
        "approved",
        "promoted",
        "rolled_back",
        "rejected",
        "concluded",
    ):
        if kinds.count(kind) > 1:
            yield f"{name} was {kind} {kinds.count(kind)} times"
    stages = [event.fact.stage for event in events if event.fact.kind == "stage_started"]
    if stages != sorted(set(stages)):
        yield f"{name} began stages {stages}"
    looks = [event.fact.look for event in events if event.fact.kind == "looked"]
    if looks != list(range(1, len(looks) + 1)):
        yield f"{name} counted looks {looks}"
    if "promoted" not in kinds:
        return
    until = kinds.index("promoted")
    asked = [n for n in range(until) if kinds[n] == "approval_requested"]
    yes = [n for n in range(until) if kinds[n] == "approval_given"]
    if not asked or not any(n > asked[-1] for n in yes) or "approved" not in kinds[:until]:
        yield f"{name} was promoted without its approval"
    verdicts = [
        Verdict.model_validate(event.fact.verdict) for event in events[: asked[-1] if asked else 0]
        if event.fact.kind == "looked"
    ]  # fmt: skip
    if "evaluated" not in kinds[:until] or not verdicts or verdicts[-1].outcome is not Outcome.ADVANCE:
        yield f"{name} was promoted without its verdict"


def _one_canary_at_a_time(events: dict[str, Any]) -> Iterator[str]:
    spans: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for name, chain in events.items():
        began = [event.at for event in chain if event.fact.kind == "stage_started"]
        ended = [event.at for event in chain if event.fact.kind in _ENDS]
        if began:
            until = ended[0].timestamp() if ended else float("inf")
            spans[chain[0].fact.prompt].append((began[0].timestamp(), until, name))
    for prompt, found in spans.items():
        ordered = sorted(found)
        for (_, until, first), (starts, _, second) in pairwise(ordered):
            if starts < until:
                yield f"{prompt} had two canaries at a time: {first} and {second}"


def _spool(chaos: Chaos, diary: list[dict[str, Any]]) -> Iterator[str]:
    """An answer that a customer has is one line, and every line is counted once; so is accepted feedback."""
    spool = chaos.house.app.settings.spool
    lines = Counter(line["id"] for file in (spool / "observations").glob("*.jsonl") for line in _whole(file))
    said = {line["request"] for file in (spool / "feedback").glob("*.jsonl") for line in _whole(file)}
    answered = [note["request-id"] for note in diary if note.get("request-id") and note.get("status") == 200]
    accepted = {note["request-id"] for note in diary if note.get("feedback") in {200, 202, 204}}
    for what, count in (
        ("answers are not in the spool", sum(one not in lines for one in answered)),
        ("lines stand twice in the spool", sum(times > 1 for times in lines.values())),
        ("accepted escalations are not in the spool", len(accepted - said)),
    ):
        if count:
            yield f"{count} {what}"
    engine = connect(chaos.house.app.settings.ledger_url)
    until = time.monotonic() + COUNTED_S_MAX
    counted = -1
    while counted != len(lines) and time.monotonic() < until:
        with engine.connect() as connection:
            asked = f"select sum(requests) from traffic where start_ms <> {TOTAL_MS}"
            counted = int(connection.exec_driver_sql(asked).scalar() or 0)
        time.sleep(0.3)
    engine.dispose()
    if counted != len(lines):
        yield f"{len(lines)} lines in the spool, {counted} counted"


def _whole(file: Path) -> Iterator[dict[str, Any]]:
    """Lines that end: a killed gateway may leave half a one, of an answer nobody got."""
    for line in file.read_bytes().split(b"\n")[:-1]:
        try:
            yield json.loads(line)
        except ValueError:
            continue


def _unwatched(chaos: Chaos, events: dict[str, Any], diary: list[dict[str, Any]]) -> Iterator[str]:
    """Nobody gets a candidate later than its lease after the last look."""
    for name, chain in events.items():
        looked = [event.at.timestamp() for event in chain if event.fact.kind in {"looked", "stage_started"}]
        signs = sorted([*looked, *chaos.renewed.get(name, ())])
        late = 0.0
        for note in _answers(diary, name):
            last = bisect.bisect_right(signs, note["began"]) - 1
            since = note["began"] - signs[last] if last >= 0 else 0.0
            late = max(late, since - LEASE_S - SLACK_S)
        if late > 0:
            yield f"{name} had traffic {late:.1f} s after the end of its lease"


def _answers(diary: list[dict[str, Any]], release: str) -> list[dict[str, Any]]:
    return [note for note in diary if note.get("release") == release and note.get("arm") == "candidate"]


def _served(chaos: Chaos, diary: list[dict[str, Any]]) -> Iterator[str]:
    """Every version that a customer got is one that the route named then, or until the control plane was last gone."""
    lag_s = SLACK_S + longest_gap(chaos.healthy["server"])
    for prompt in chaos.script:
        records = sorted(chaos.house.app.routes.history(prompt), key=lambda record: record.revision)
        starts = [record.at.timestamp() for record in records]
        wrong: Counter[str] = Counter()
        for note in diary:
            if note["prompt"] != prompt or not note.get("version"):
                continue
            first = max(bisect.bisect_right(starts, note["began"] - lag_s) - 1, 0)
            last = bisect.bisect_right(starts, note["ended"] + SLACK_S)
            wanted = "candidate" if note["arm"] == "candidate" else "stable"
            if note["version"] not in {getattr(record, wanted) for record in records[first:last]}:
                wrong[note["version"][:12]] += 1
        for version, times in wrong.items():
            yield f"{prompt} served {version} {times} times when its route did not name it"


def longest_gap(times: list[float]) -> float:
    """Longest time between two signs of life, seconds."""
    return max((later - earlier for earlier, later in pairwise(times)), default=0.0)
