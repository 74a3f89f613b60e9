"""How a release reads in terminal and Slack. `make golden` rewrites the files; read the difference."""

import json
import os
from datetime import timedelta
from pathlib import Path

from promptship.adapters.slack.blocks import blocks
from promptship.lifecycle.approval import reject
from promptship.ports import ReleaseSummary
from promptship.release import events as e
from promptship.release.phase import Phase
from promptship.render.card import approval_card, outcome_card
from promptship.render.release import release_list, release_text
from tests.support.plane import STABLE, World, in_canary, waiting
from tests.support.verdicts import hold, rolled_back

HERE = Path(__file__).parent


def same_as(name: str, text: str) -> None:
    path = HERE / name
    if os.environ.get("PROMPTSHIP_UPDATE_GOLDEN"):
        path.write_text(text + "\n", encoding="utf-8")
    assert text + "\n" == path.read_text(encoding="utf-8")


def shown(world: World, release_id: str) -> str:
    return release_text(world.app.release(release_id), world.app.ledger.events(release_id))


def test_a_release_that_waits_for_approval() -> None:
    world = World()
    release_id = waiting(world)
    same_as("awaiting_approval.txt", shown(world, release_id))


def test_a_release_that_was_rolled_back_after_many_looks() -> None:
    world = World()
    release_id = in_canary(world)
    ledger, seq = world.app.ledger, 4
    for look in range(2, 5):
        looked = e.Looked(
            stage=0, look=look, as_of=world.clock.advance(5), state={}, verdict=hold().model_dump(mode="json")
        )
        ledger.append(release_id, [looked], expected_seq=seq, actor="watcher", at=world.clock.now())
        seq += 1
    now = world.clock.advance(3600)
    worst = rolled_back().model_copy(update={"stage": 0})
    facts: list[e.Fact] = [
        e.Looked(stage=0, look=5, as_of=now, state={}, verdict=worst.model_dump(mode="json")),
        e.RolledBack(by="guardrail", reason="feedback:escalated: harmful", version=STABLE.digest),
    ]
    ledger.append(release_id, facts, expected_seq=seq, actor="watcher", at=now)
    same_as("rolled_back.txt", shown(world, release_id))


def test_the_list() -> None:
    world = World()
    now = world.clock.now()
    summaries = [
        ReleaseSummary(
            id=f"r-{number}", prompt=prompt, commit="c" * 40, author="dev@example.org", phase=phase, seq=1,
            opened_at=now - timedelta(hours=5), moved_at=now - timedelta(seconds=ago_s), due_at=None,
        )
        for number, prompt, phase, ago_s in [
            (3, "support-reply", Phase.AWAITING_APPROVAL, 0.0),
            (12, "refund", Phase.ROLLED_BACK, 75.0),
            (1, "日本語", Phase.PROMOTED, 9000.0),
        ]
    ]  # fmt: skip
    same_as("list.txt", release_list(summaries, now))
    assert "no releases yet" in release_list([], now)


def test_the_cards_in_block_kit() -> None:
    world = World()
    release_id = waiting(world)
    asked = blocks(approval_card(world.app.release(release_id), diff="Be [-kind-]{+concise+}."))
    world.clock.advance(600)
    reject(world.app, release_id, who="noor", via="cli", reason="too curt")
    ended = blocks(outcome_card(world.app.release(release_id)))
    same_as("card_asks.json", json.dumps(asked, indent=1, ensure_ascii=False))
    same_as("card_ended.json", json.dumps(ended, indent=1, ensure_ascii=False))
