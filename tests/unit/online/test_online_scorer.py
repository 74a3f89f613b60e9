"""The scorer: every answer once, whatever happens; nothing of it left behind."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from promptship.adapters.memory.models import ScriptedModels as Models
from promptship.adapters.scorer_state import State, read_state
from promptship.chat import ChatAnswer, ChatRequest
from promptship.errors import Refused, Unavailable
from promptship.routing.observation import Score
from promptship.settings import ScorerSettings
from tests.support.online import HELPFUL, JUDGE, TONE, YES, Desk, ListSpool


def state(desk: Desk) -> State:
    found = read_state(desk.app.settings.data)
    assert found is not None
    return found


def is_anywhere(place: Path, text: bytes) -> bool:
    return any(text in path.read_bytes() for path in place.rglob("*") if path.is_file())


async def test_an_answer_becomes_a_score_and_is_gone(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    good, bad = desk.answered("Gladly."), desk.answered("WHATEVER.")
    await desk.score()
    assert desk.found == {(good, "tone"): (1.0, True), (bad, "tone"): (0.0, False)}
    assert list(desk.app.settings.samples.iterdir()) == []
    assert desk.spool.synced
    (one, _) = desk.spool.scores
    assert (one.prompt, one.arm, one.release, one.stage, one.unit) == (
        "support",
        "candidate",
        desk.release,
        0,
        "u",
    )
    assert (state(desk).scored, state(desk).unscored, state(desk).waiting) == (2, {}, 0)


@pytest.mark.parametrize("threshold", [0.9, 0.91])
async def test_passed_is_a_score_of_at_least_the_threshold(tmp_path: Path, threshold: float) -> None:
    desk = Desk(tmp_path, JUDGE + HELPFUL + f"threshold = {threshold}\n")
    asked = desk.answered(checks=["helpful"])
    await desk.score()
    assert desk.found == {(asked, "helpful"): (0.9, threshold <= 0.9)}


@dataclass
class DeadlySpool(ListSpool):
    """Its scorer is killed at the n-th thing it does with it: before the score is there, or (`late`) right after."""

    left: int = 0
    late: bool = False

    def write(self, record: Score) -> bool:
        if self.late:
            super().write(record)
        self.maintain()
        return self.late or super().write(record)

    def maintain(self) -> None:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("left", range(5))
async def test_a_scorer_that_dies_anywhere_neither_loses_nor_doubles_a_score(
    tmp_path: Path, left: int, late: bool
) -> None:
    desk = Desk(tmp_path, JUDGE + TONE + HELPFUL, spool=DeadlySpool(left=left, late=late))
    asked = [desk.answered(checks=["tone", "helpful"]) for _ in range(2)]
    with pytest.raises(KeyboardInterrupt):
        await desk.score()
    survived, desk.spool = desk.spool.scores, ListSpool()
    await desk.score()
    both = [*survived, *desk.spool.scores]
    assert {(one.request, one.name) for one in both} == {
        (one, name) for one in asked for name in ("tone", "helpful")
    }
    # Written twice is only what was not noted yet, and that has the id it had: it counts once.
    assert len(both) - len({one.id for one in both}) <= late
    assert len({one.id for one in both}) == 4
    assert desk.files == []


async def test_a_spool_that_refuses_gets_the_score_again_without_a_second_judgement(tmp_path: Path) -> None:
    desk = Desk(tmp_path, JUDGE + HELPFUL)
    asked = desk.answered(checks=["helpful"])
    desk.spool.refuses = 2
    await desk.score()
    assert desk.found == {(asked, "helpful"): (0.9, True)}
    assert len(desk.models.requests) == 1
    assert state(desk).scores_lost == 2


async def test_a_judge_that_is_down_is_asked_again_later(tmp_path: Path) -> None:
    lines: list[Any] = [Unavailable("down")] * 4 + [YES]
    desk = Desk(tmp_path, JUDGE + HELPFUL, Models(lines))
    asked = desk.answered(checks=["helpful"])
    await desk.score()
    assert desk.found == {(asked, "helpful"): (0.9, True)}
    assert state(desk).retried == 2  # two attempts each time


async def test_what_cannot_be_scored_in_time_is_given_up_openly(tmp_path: Path) -> None:
    online = "[plans.default.online]\ngive_up_after = '60s'\n" + JUDGE + HELPFUL
    desk = Desk(tmp_path, online, Models([]))
    desk.answered(checks=["helpful"], age_s=61)
    await desk.score()
    assert desk.found == {}
    assert state(desk).unscored == {"it could not be scored in time": 1}
    assert desk.files == []


@pytest.mark.parametrize(
    ("models", "reason"),
    [
        (Models([Refused("no")]), "the judge's provider refused the key"),
        (Models(["nonsense"] * 4), "the judge gave no verdict that can be read"),
    ],
)
async def test_no_verdict_is_no_score(tmp_path: Path, models: Models, reason: str) -> None:
    desk = Desk(tmp_path, JUDGE + HELPFUL, models)
    desk.answered(checks=["helpful"])
    await desk.score()
    assert (desk.found, state(desk).unscored) == ({}, {reason: 1})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"checks": ["other"]}, "the plan has no check of that name"),
        ({"plan": "r-unknown"}, "its release or commit is not known here"),
        ({"answer": "<html>"}, "question or answer cannot be read"),
        ({"question": "[]"}, "question or answer cannot be read"),
    ],
)
async def test_what_nobody_can_score_is_counted_and_deleted(
    tmp_path: Path, changes: Any, reason: str
) -> None:
    desk = Desk(tmp_path)
    desk.answered(**changes)
    await desk.score()
    assert (desk.found, state(desk).unscored, desk.files) == ({}, {reason: 1}, [])


async def test_lines_that_are_no_samples_are_deleted_and_counted(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    asked = desk.answered()
    (file,) = desk.files
    file.write_bytes(b"torn {" + b"\n" + file.read_bytes())
    await desk.score()
    assert set(desk.found) == {(asked, "tone")}
    assert (state(desk).unreadable, desk.files) == (1, [])


async def test_a_spent_budget_ends_the_judging_not_the_checks_and_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def dear(request: ChatRequest) -> ChatAnswer:
        return ChatAnswer(text=YES, model=request.model, cost_usd=0.04)

    desk = Desk(tmp_path, JUDGE + TONE + HELPFUL + "spend_max_usd = 0.1\n", Models(dear))
    asked = [desk.answered(checks=["tone", "helpful"]) for _ in range(9)]
    with caplog.at_level(logging.WARNING):
        await desk.score()
    judged = [one for one, name in desk.found if name == "helpful"]
    # The calls under way count with what they will cost: 3 x 0.04 is the first that reaches 0.1.
    assert len(judged) == 3
    assert {one for one, name in desk.found if name == "tone"} == set(asked)
    assert state(desk).unscored == {"the budget is spent": 6}
    assert state(desk).budgets["support helpful"].is_spent
    assert [record.message for record in caplog.records].count(
        f"the budget of support helpful for {state(desk).budgets['support helpful'].day} is spent: it scores no more today"
    ) == 1
    again = desk.answered(checks=["helpful"])
    await desk.score()  # a new process remembers what was spent today
    assert (again, "helpful") not in desk.found
    assert len(desk.models.requests) == 3
    desk.house.clock.advance(86400)
    tomorrow = desk.answered(checks=["helpful"])
    await desk.score()
    assert (tomorrow, "helpful") in desk.found


async def test_all_judges_together_have_a_budget_too(tmp_path: Path) -> None:
    models = Models(lambda request: ChatAnswer(text=YES, model=request.model, cost_usd=1.0))
    desk = Desk(tmp_path, JUDGE + HELPFUL, models, ScorerSettings(spend_max_usd=1.5))
    for _ in range(4):
        desk.answered(checks=["helpful"])
    await desk.score()
    assert (state(desk).scored, state(desk).unscored) == (2, {"the budget is spent": 2})


async def test_calls_beyond_those_of_a_minute_wait_and_leave_their_places_to_others(tmp_path: Path) -> None:
    desk = Desk(
        tmp_path, JUDGE + HELPFUL + "calls_per_minute = 2\n" + TONE, scorer=ScorerSettings(concurrency=1)
    )
    judged = [desk.answered(checks=["helpful"]) for _ in range(4)]
    plain = [desk.answered(checks=["tone"]) for _ in range(3)]
    await desk.score(until=lambda: len(desk.spool.scores) == 5)
    assert len({one for one, name in desk.found if name == "helpful"} & set(judged)) == 2
    assert {one for one, name in desk.found if name == "tone"} == set(plain)
    assert state(desk).waiting == 2


@pytest.mark.parametrize(
    ("keep", "kept"), [("nothing", []), ("failed", ["Whatever"]), ("all", ["Gladly.", "Whatever"])]
)
async def test_texts_are_kept_only_where_the_plan_says_and_redacted(
    tmp_path: Path, keep: str, kept: list[str]
) -> None:
    desk = Desk(tmp_path, f"[plans.default.online]\nkeep = '{keep}'\nkeep_for = '1h'\n" + TONE)
    desk.answered("Gladly.")
    desk.answered("Whatever, call +49 170 1234567")
    await desk.score()
    place = desk.app.settings.data / "kept"
    lines = [orjson.loads(line) for path in place.glob("*") for line in path.read_bytes().splitlines()]
    assert sorted(line["answer"].partition(",")[0] for line in lines) == kept
    assert {line["messages"][0]["content"] for line in lines} <= {"I am [e-mail]"}
    assert not is_anywhere(tmp_path, b"1234567")
    assert all(path.stat().st_mode & 0o077 == 0 for path in [place, *place.glob("*")] if path.exists())
    scorer = desk.make()
    assert scorer._kept.expire(0) == 0
    assert scorer._kept.expire(4e9) == bool(kept)
    assert list(place.glob("*")) == []


@pytest.mark.parametrize("redacted", [False, True])
async def test_a_judge_reads_texts_redacted_where_the_plan_says(tmp_path: Path, redacted: bool) -> None:
    online = f"[plans.default.online]\nredact_before_judging = {str(redacted).lower()}\n" + JUDGE + HELPFUL
    desk = Desk(tmp_path, online, scorer=ScorerSettings(redact=(r"order \d+",)))
    desk.answered("Write to joe@mail.example about order 77.", checks=["helpful"])
    await desk.score()
    (asked,) = desk.models.requests
    told = str(asked.messages)
    assert ("joe@mail.example" in told) == ("order 77" in told) == (not redacted)
    assert ("[e-mail]" in told) == redacted


async def test_values_use_the_variables_of_the_request(tmp_path: Path) -> None:
    check = "[[plans.default.online.checks]]\nname = 'tone'\nvariables = true\nassert = {type = 'contains', value = '{{ shop }}'}\n"
    desk = Desk(tmp_path, check)
    one = desk.answered("Acorn greets you.", variables={"shop": "Acorn"})
    other = desk.answered("Acorn greets you.", variables={"shop": "Oak"})
    await desk.score()
    assert desk.found == {(one, "tone"): (1.0, True), (other, "tone"): (0.0, False)}


async def test_nothing_that_was_said_is_in_a_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        desk = Desk(tmp_path, JUDGE + TONE + HELPFUL, Models(["nonsense quoting SECRET"] * 9))
        desk.answered("SECRET", checks=["tone", "helpful"])
        desk.answered("SECRET", question="SECRET")
        desk.answered("SECRET", answer="SECRET")
        await desk.score()
    assert "SECRET" not in caplog.text
    assert not is_anywhere(tmp_path, b"SECRET")


async def test_a_stop_leaves_what_is_under_way_to_the_next(tmp_path: Path) -> None:
    begun = asyncio.Event()

    class Slow(Models):
        async def complete(self, request: ChatRequest) -> ChatAnswer:
            begun.set()
            await asyncio.Event().wait()
            raise AssertionError

    desk = Desk(tmp_path, JUDGE + HELPFUL, Slow([]))
    asked = desk.answered(checks=["helpful"])
    await desk.score(until=begun.is_set)
    assert (desk.found, len(desk.files)) == ({}, 1)
    desk.models = Models([YES])
    await desk.score()
    assert set(desk.found) == {(asked, "helpful")}
