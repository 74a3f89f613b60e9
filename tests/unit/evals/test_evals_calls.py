from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from promptship.chat import ChatAnswer
from promptship.errors import ConfigError, Problem, PromptshipError, Refused, Unavailable
from promptship.evals.calls import BUDGET_SPENT, Calls, Limits, unanswered
from promptship.evals.score import Unscored

Line = str | ChatAnswer | PromptshipError
WRONG = ConfigError([Problem("f", "k", "g", "e")])
DOWN = Unavailable("down")


class Pauses:
    """Remembers pauses instead of making them."""

    def __init__(self) -> None:
        self.made: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.made.append(seconds)


class Provider:
    """Gives out its lines in order."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = iter(lines)
        self.asked = 0

    async def __call__(self) -> ChatAnswer:
        self.asked += 1
        line = next(self._lines)
        if isinstance(line, PromptshipError):
            raise line
        return line if isinstance(line, ChatAnswer) else ChatAnswer(text=line)


class Kept(dict[str, ChatAnswer]):
    """Answers in memory."""

    def put(self, key: str, answer: ChatAnswer) -> None:
        self[key] = ChatAnswer(
            text=answer.text, model=answer.model, fingerprint=answer.fingerprint, cached=True
        )


def calls_of(*lines: Line, kept: Kept | None = None, **limits: Any) -> tuple[Calls, Provider, Pauses]:
    pauses = Pauses()
    return Calls(Limits(**limits), answers=kept, pause=pauses), Provider(lines), pauses


async def ask(calls: Calls, once: Callable[[], Awaitable[ChatAnswer]], **more: Any) -> str:
    return (await calls.answer("m", once, **more)).text


async def test_only_unavailable_is_tried_again_with_growing_pauses() -> None:
    calls, provider, pauses = calls_of(Unavailable("503"), Unavailable("503"), Unavailable("503"), "yes")
    assert await ask(calls, provider) == "yes"
    assert provider.asked == 4
    assert all(
        low <= pause <= high
        for pause, low, high in zip(pauses.made, (0.25, 0.5, 1.0), (0.5, 1.0, 2.0), strict=True)
    )
    for error in (Refused("401"), WRONG):
        calls, provider, pauses = calls_of(error, "yes")
        with pytest.raises(type(error)):
            await ask(calls, provider)
        assert (provider.asked, pauses.made) == (1, [])


async def test_attempts_are_limited_and_the_last_error_is_told() -> None:
    calls, provider, _ = calls_of(Unavailable("first"), Unavailable("second"), "yes", attempts=2)
    with pytest.raises(Unavailable, match="second"):
        await ask(calls, provider)
    assert provider.asked == 2


async def test_a_pause_that_the_provider_asks_for_is_made_by_the_whole_endpoint_and_counts_as_an_attempt() -> (
    None
):
    busy = Unavailable("503", retry_after_s=0.001)
    calls, provider, pauses = calls_of(busy, busy, "yes")
    assert await ask(calls, provider) == "yes"
    assert pauses.made == []
    calls, provider, pauses = calls_of(busy, busy, "yes", attempts=2)
    with pytest.raises(Unavailable, match="503"):
        await ask(calls, provider)
    assert (provider.asked, pauses.made) == (2, [])


async def test_not_so_often_is_no_attempt_and_waits_for_the_endpoint() -> None:
    throttled = Unavailable("429", retry_after_s=0.0, throttled=True)
    calls, provider, pauses = calls_of(*[throttled] * 3, "yes", attempts=2)
    assert await ask(calls, provider) == "yes"
    assert (provider.asked, pauses.made) == (4, [])


async def test_an_endpoint_that_asks_for_more_patience_than_a_run_has_is_given_up_for_all() -> None:
    for throttled in (True, False):
        calls, provider, _ = calls_of(Unavailable("later", retry_after_s=301.0, throttled=throttled), "yes")
        for _ in range(2):
            with pytest.raises(Unavailable, match="later"):
                await ask(calls, provider)
        assert provider.asked == 1


async def test_a_hang_ends_at_the_deadline_of_the_whole_call() -> None:
    async def hang() -> ChatAnswer:
        await asyncio.Event().wait()
        raise AssertionError

    calls = Calls(Limits(deadline_s=0.02, attempts=5))
    with pytest.raises(Unavailable, match=r"m did not answer within 0\.02 s"):
        await ask(calls, hang)
    with pytest.raises(Unavailable, match=r"within 0\.01 s"):
        await ask(calls, hang, deadline_s=0.01)


async def test_the_fuse_blows_after_so_many_calls_in_a_row_without_an_answer() -> None:
    calls, provider, _ = calls_of(DOWN, DOWN, "yes", DOWN, DOWN, DOWN, attempts=1, down_max=3)
    blown = []
    for _ in range(8):
        with contextlib.suppress(Unavailable):
            await ask(calls, provider)
        blown.append(bool(calls.dead))
    assert blown == [False] * 5 + [True] * 3
    assert provider.asked == 6
    assert str(calls.dead["m"]) == "3 calls of m in a row got no answer; the last: down"


async def test_one_refusal_ends_its_endpoint_at_once_and_no_other() -> None:
    calls, provider, _ = calls_of(Refused("401"), "yes")
    for _ in range(3):
        with pytest.raises(Refused, match="401"):
            await ask(calls, provider)
    assert provider.asked == 1
    assert (await calls.answer("other", provider)).text == "yes"
    assert list(calls.dead) == ["m"]


async def test_those_who_wait_are_told_when_the_fuse_blows() -> None:
    first = asyncio.Event()

    async def refuse() -> ChatAnswer:
        await first.wait()
        raise Refused("401")

    calls = Calls(Limits(concurrency=1))
    waiting = [asyncio.create_task(ask(calls, refuse)) for _ in range(4)]
    await asyncio.sleep(0)
    first.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [Refused] * 4


async def test_requests_that_are_all_wrong_blow_the_fuse_and_a_few_among_good_ones_do_not() -> None:
    stories: list[tuple[list[Line], bool]] = [
        ([WRONG] * 5, True),
        ([WRONG] * 4, False),
        (["yes", *[WRONG] * 9], False),
    ]
    for lines, blows in stories:
        calls, provider, _ = calls_of(*lines)
        for _ in lines:
            with contextlib.suppress(ConfigError):
                await ask(calls, provider)
        assert bool(calls.dead) == blows


async def test_a_kept_answer_is_not_paid_again_and_no_key_means_always_paid() -> None:
    kept = Kept()
    calls, provider, _ = calls_of("one", "two", "three", kept=kept)
    said = [await ask(calls, provider, key=key) for key in ("k", "k", "", "l", "k")]
    assert said == ["one", "one", "two", "three", "one"]
    assert (calls.paid, calls.reused) == (3, 2)


async def test_a_kept_answer_of_another_fingerprint_is_not_used_once_the_new_one_was_seen() -> None:
    def by(fingerprint: str) -> ChatAnswer:
        return ChatAnswer(text=fingerprint, model="m-1", fingerprint=fingerprint)

    kept = Kept()
    for key in ("a", "b"):
        kept.put(key, by("old"))
    kept.put("c", by("new"))
    kept.put("d", ChatAnswer(text="unknown", model="m-1"))
    calls, provider, _ = calls_of(by("new"), by("new"), kept=kept)
    said = [await ask(calls, provider, key=key) for key in ("a", "x", "b", "b", "c", "d")]
    assert said == ["old", "new", "new", "new", "new", "unknown"]
    assert provider.asked == 2


@pytest.mark.parametrize("kept_first", [True, False])
@pytest.mark.parametrize("line", [ChatAnswer(text="new", model="m-1", fingerprint="new"), WRONG])
async def test_a_kept_answer_waits_for_the_first_call_that_tells_who_answers_today(
    kept_first: bool, line: Line
) -> None:
    kept = Kept()
    kept.put("stable", ChatAnswer(text="old", model="m-1", fingerprint="old"))
    again = ChatAnswer(text="again", model="m-1", fingerprint="new")
    calls, provider, _ = calls_of(line, again, kept=kept)
    open_ = asyncio.Event()

    async def slowly() -> ChatAnswer:
        await open_.wait()
        return await provider()

    keys = ["stable", "candidate"] if kept_first else ["candidate", "stable"]
    both = [asyncio.create_task(ask(calls, slowly, key=key)) for key in keys]
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in both)
    open_.set()
    said = dict(zip(keys, await asyncio.gather(*both, return_exceptions=True), strict=True))
    assert said["stable"] == ("old" if line is WRONG else "again")


async def test_no_call_starts_once_the_budget_is_spent_but_kept_answers_go_on() -> None:
    kept = Kept()
    kept.put("k", ChatAnswer(text="kept"))
    priced = [ChatAnswer(text="x", cost_usd=0.4)] * 9
    calls, provider, _ = calls_of(*priced, kept=kept, spend_max_usd=1.0)
    said = []
    for _ in range(5):
        try:
            said.append(await ask(calls, provider))
        except Unavailable as error:
            said.append(unanswered(error).reason)
    assert said == ["x", "x", "x", BUDGET_SPENT, BUDGET_SPENT]
    assert calls.spent_usd == pytest.approx(1.2)
    assert await ask(calls, provider, key="k") == "kept"
    assert calls.dead == {}


async def test_what_calls_under_way_will_cost_is_counted_too() -> None:
    async def paid() -> ChatAnswer:
        await asyncio.sleep(0)
        return ChatAnswer(text="x", cost_usd=0.125)

    calls = Calls(Limits(spend_max_usd=1.25, concurrency=64))
    results = await asyncio.gather(*(ask(calls, paid) for _ in range(100)), return_exceptions=True)
    assert results.count("x") == 10
    resumed = Calls(Limits(spend_max_usd=1.0), spent_usd=1.0)
    with pytest.raises(Unavailable, match=BUDGET_SPENT):
        await ask(resumed, paid)


async def test_other_calls_share_limits_and_fuse_but_neither_cache_nor_budget() -> None:
    async def vectors() -> list[float]:
        return [1.0]

    calls = Calls(Limits(spend_max_usd=0.0))
    assert await calls.limited("m", vectors) == [1.0]

    async def refuse() -> list[float]:
        raise Refused("403")

    with pytest.raises(Refused):
        await calls.limited("m", refuse)
    with pytest.raises(Refused):
        await calls.limited("m", vectors)


async def test_concurrency_is_a_limit_and_is_used() -> None:
    now = most = 0

    async def crowd() -> ChatAnswer:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        return ChatAnswer(text="x")

    for adaptive in (True, False):
        now = most = 0
        calls = Calls(Limits(concurrency=24, adaptive=adaptive))
        await asyncio.gather(*(ask(calls, crowd) for _ in range(200)))
        assert (most, now) == (24, 0)


async def test_one_not_so_often_makes_the_endpoint_slower_for_all() -> None:
    lines = iter([ChatAnswer(text="x")] * 20 + [Unavailable("429", retry_after_s=0.0, throttled=True)])

    async def once() -> ChatAnswer:
        line = next(lines, ChatAnswer(text="x"))
        if isinstance(line, Unavailable):
            raise line
        return line

    calls = Calls(Limits(concurrency=64))
    for _ in range(21):
        await ask(calls, once)
    assert calls.parallel("m") == 8


async def test_a_caller_that_goes_away_leaves_no_place_taken() -> None:
    async def hang() -> ChatAnswer:
        await asyncio.Event().wait()
        raise AssertionError

    async def yes() -> ChatAnswer:
        return ChatAnswer(text="x")

    calls = Calls(Limits(concurrency=2))
    tasks = [asyncio.create_task(ask(calls, hang)) for _ in range(6)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [await ask(calls, yes) for _ in range(3)] == ["x"] * 3


def test_what_a_failed_call_makes_of_a_trial() -> None:
    assert unanswered(Unavailable("503")) == Unscored("the provider did not answer", "503")
    assert unanswered(Unavailable(BUDGET_SPENT)) == Unscored(BUDGET_SPENT)
    assert unanswered(Refused("401")) == Unscored("the provider refused the key", "401")
    assert unanswered(WRONG).reason == "the provider refused the request as wrong"
