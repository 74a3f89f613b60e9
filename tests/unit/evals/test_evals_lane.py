from __future__ import annotations

import asyncio

import pytest

from promptship.chat import ChatAnswer, RateLimits
from promptship.errors import ConfigError, Problem, PromptshipError, Unavailable
from promptship.evals.calls import Calls, Limits
from promptship.evals.lane import Lane
from promptship.evals.pacing import SILENT_CALLS, Pace, Silence


def lane_of(cap: int = 1) -> Lane:
    return Lane("m", Pace(cap=cap, adaptive=False), down_max=10)


async def test_turns_are_given_in_order_and_those_who_try_again_go_first() -> None:
    lane, order = lane_of(), []

    async def go(name: str, *, first: bool = False) -> None:
        await lane.enter(first=first)
        order.append(name)
        lane.leave()

    await lane.enter()
    tasks = []
    for name, first in (("a", False), ("b", False), ("again", True)):
        tasks.append(asyncio.create_task(go(name, first=first)))
        await asyncio.sleep(0)
    lane.leave()
    await asyncio.gather(*tasks)
    assert order == ["again", "a", "b"]
    assert lane.pace.active == 0


async def test_who_goes_away_in_the_moment_of_its_turn_gives_it_back() -> None:
    lane = lane_of()
    await lane.enter()
    waiting = asyncio.create_task(lane.enter())
    await asyncio.sleep(0)
    lane.leave()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert lane.pace.active == 0


async def test_a_closed_endpoint_opens_by_itself() -> None:
    lane = lane_of(4)
    now = asyncio.get_running_loop().time()
    lane.missed(Unavailable("429", retry_after_s=0.01, throttled=True), now)
    await asyncio.gather(*(lane.enter() for _ in range(3)))
    assert lane.pace.active == 3
    lane.pace.answered(asyncio.get_running_loop().time(), RateLimits(requests_left=0, reset_s=0.01))
    await lane.enter()
    assert lane.pace.active == 4


async def test_a_blown_fuse_tells_everybody_the_same_each_with_an_error_of_its_own() -> None:
    lane = lane_of()
    await lane.enter()
    waiting = [asyncio.create_task(lane.enter()) for _ in range(3)]
    await asyncio.sleep(0)
    lane.blow(Unavailable("down", retry_after_s=3.0))
    lane.blow(Unavailable("too late"))
    errors = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(error) for error in errors] == ["down"] * 3
    assert len({id(error) for error in errors}) == 3
    with pytest.raises(PromptshipError, match="down"):
        await lane.enter()


async def hang() -> ChatAnswer:
    await asyncio.Event().wait()
    raise AssertionError


async def test_an_endpoint_that_takes_calls_and_says_nothing_is_down_after_two_rounds() -> None:
    asked = 0

    async def once() -> ChatAnswer:
        nonlocal asked
        asked += 1
        return await hang()

    calls = Calls(Limits(deadline_s=0.02, concurrency=8, down_max=1000))
    ended = await asyncio.gather(*(calls.answer("m", once) for _ in range(200)), return_exceptions=True)
    assert {type(error) for error in ended} == {Unavailable}
    assert "m answered none of" in str(calls.dead["m"])
    assert asked <= 16


@pytest.mark.parametrize("word", ["answer", "not so often", "come back later", "wrong request"])
async def test_any_word_of_an_endpoint_breaks_its_silence(word: str) -> None:
    lane = Lane("m", Pace(cap=8), down_max=1000, silence=Silence(0.0))
    await lane.enter()
    nothing = Unavailable("no answer")
    now = asyncio.get_running_loop().time()
    for _ in range(SILENT_CALLS - 1):
        lane.missed(nothing, now)
    lane.missed(nothing, now, again=True)
    if word == "answer":
        lane.answered(ChatAnswer(text="yes"))
    elif word == "wrong request":
        lane.gave_up(ConfigError([Problem("f", "k", "g", "e")]))
    else:
        throttled = word == "not so often"
        lane.missed(Unavailable(word, throttled=throttled, retry_after_s=None if throttled else 0.0), now)
    for _ in range(SILENT_CALLS):
        assert lane.dead is None
        lane.missed(nothing, now)
    assert isinstance(lane.dead, Unavailable)
