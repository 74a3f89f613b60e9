"""Online scoring end to end, real processes: bad answers of a candidate roll it back, through a kill -9 of the scorer."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import orjson
import pytest

from promptship.adapters.database import connect
from promptship.adapters.scorer_state import read_state
from promptship.adapters.telemetry.tables import TOTAL_MS
from promptship.routing.sampling import Drawn, Sampling, drawn
from tests.support.online_stack import Stack, chat, online_stack, until
from tests.support.standin import Asked, Said

pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("online"),
]

CHECKED = """release:
  canary:
    guardrails: [{metric: "check:tone", margin_floor: 0.05}]
  online:
    checks:
      - {name: tone, assert: {type: not-icontains, value: whatever}, stable: 0.5}
"""
JUDGED = """release:
  canary:
    guardrails: [{metric: "score:helpful", margin_floor: 0.05}]
  online:
    keep: failed
    keep_for: 1h
    checks:
      - {name: helpful, assert: {type: llm-rubric, value: The answer helps., threshold: 0.5}, stable: 0.5}
"""
STABLE = {"support": ("Be kind.", CHECKED), "sales": ("Be of help.", JUDGED)}
WORSE = {"support": ("Be curt and rude.", CHECKED), "sales": ("Be lazy.", JUDGED)}


def model(asked: Asked) -> Said:
    """A model that does as it is told, and a judge that sees through it."""
    body = asked.json
    text = json.dumps(body["messages"])
    if body["model"] == "judge-1":
        poor = "lazy words" in text
        return chat(json.dumps({"pass": not poor, "score": 0.2 if poor else 0.9, "reason": "as seen"}))
    if "rude" in text:
        return chat("Whatever.")
    return chat("lazy words, ask jane.doe@mail.example" if "lazy" in text else "Gladly, here is how.")


def test_bad_answers_roll_a_candidate_back_and_kill_9_neither_loses_nor_doubles_a_score(
    tmp_path: Path,
) -> None:
    with online_stack(tmp_path, model, STABLE) as stack:
        stack.commit(WORSE, "worse")
        releases = stack.release()
        stack.traffic(list(STABLE))
        until(lambda: len(stack.lines("scores")) > 20, 20, "the first scores")
        stack.kill("scorer")
        stack.start("scorer")
        phases = {"rolled_back"}
        until(
            lambda: {stack.app.release(one).phase for one in releases.values()} == phases,
            40,
            "both rollbacks",
        )
        stack.quiet()
        assert because(stack, releases["support"]) == "check:tone"
        assert because(stack, releases["sales"]) == "score:helpful"
        every_drawn_answer_is_scored_once(stack, releases)
        samples = tmp_path / ".promptship/samples"
        until(lambda: not list(samples.glob("*.jsonl")), 5, "every answer to be deleted")
        nobody_reads_what_was_said(stack)
        state = read_state(tmp_path / ".promptship")
        assert state is not None
        assert (state.unscored, state.unreadable, state.scores_lost) == ({}, 0, 0)
        assert 0 < state.budgets["sales helpful"].spent_usd < 1
        scoring = httpx.get(f"{stack.app.settings.server_url}/healthz").json()["scoring"]
        assert scoring["status"] == "ok"
        assert httpx.get(f"{stack.gateway_url}/healthz").json()["samples_dropped"] == 0


def because(stack: Stack, release: str) -> str:
    """The guardrail that rolled it back."""
    last = stack.app.ledger.events(release)[-1].fact
    assert last.kind == "rolled_back"
    assert last.by == "guardrail"
    assert last.verdict is not None
    return str(next(one["rule"] for one in last.verdict["findings"] if one["outcome"] == "roll_back"))


def every_drawn_answer_is_scored_once(stack: Stack, releases: dict[str, str]) -> None:
    names = {"support": "tone", "sales": "helpful"}
    expected = set()
    for line in stack.lines("observations"):
        if line["release"] is None:
            continue
        name = names[line["prompt"]]
        sampling = Sampling(
            release=releases[line["prompt"]], checks=(Drawn(name=name, candidate=1.0, stable=0.5),)
        )
        if drawn(sampling, line["id"], line["arm"]):
            expected.add((line["id"], name))

    def scored() -> set[tuple[str, str]]:
        return {(line["request"], line["name"]) for line in stack.lines("scores") if line["release"]}

    until(lambda: len(scored()) >= len(expected), 20, "every drawn answer to be scored")
    assert scored() == expected
    outside = {(line["request"], line["name"]) for line in stack.lines("scores") if not line["release"]}
    engine = connect(f"sqlite:///{stack.place / '.promptship/ledger.db'}")
    query = (
        f"select sum(c.scored) from checks c join traffic t on t.slot = c.slot where t.start_ms <> {TOTAL_MS}"
    )

    def counted() -> int:
        with engine.connect() as connection:
            return int(connection.exec_driver_sql(query).scalar() or 0)

    until(lambda: counted() == len(expected | outside), 10, "every score to be counted once")
    engine.dispose()


def nobody_reads_what_was_said(stack: Stack) -> None:
    """No text in logs, spools and ledger; what is kept is redacted."""
    told = [path.read_bytes() for path in stack.place.glob("*.log")]
    data = stack.place / ".promptship"
    told += [path.read_bytes() for path in data.rglob("*") if path.is_file() and "kept" not in path.parts]
    assert not any(b"@mail.example" in one or b"lazy words" in one for one in told)
    kept = [
        orjson.loads(line) for path in (data / "kept").iterdir() for line in path.read_bytes().splitlines()
    ]
    assert kept
    assert {one["answer"] for one in kept} == {"lazy words, ask [e-mail]"}
    assert {one["messages"][-1]["content"] for one in kept} == {"My mail is [e-mail]"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in (data / "kept").iterdir())
