from __future__ import annotations

import asyncio
import contextlib

import pytest

from promptship.adapters.memory.models import Line, ScriptedModels
from promptship.errors import ConfigError, Problem, Refused, Unavailable
from promptship.evals.calls import Calls
from promptship.ports import ChatAnswer, ChatRequest

REQUEST = ChatRequest(model="m", messages=({"role": "user", "content": "x"},))


class Pauses:
    """Remembers pauses instead of making them."""

    def __init__(self) -> None:
        self.made: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.made.append(seconds)


def calls_of(
    *lines: Line, deadline_s: float = 60.0, attempts: int = 4, down_max: int = 100
) -> tuple[Calls, ScriptedModels, Pauses]:
    models, pauses = ScriptedModels(lines), Pauses()
    return (
        Calls(models, deadline_s=deadline_s, attempts=attempts, down_max=down_max, pause=pauses),
        models,
        pauses,
    )


async def test_only_unavailable_is_tried_again_with_growing_pauses() -> None:
    calls, models, pauses = calls_of(Unavailable("503"), Unavailable("503"), Unavailable("503"), "yes")
    assert (await calls.complete(REQUEST)).text == "yes"
    assert len(models.requests) == 4
    assert all(
        low <= pause <= high
        for pause, low, high in zip(pauses.made, (0.25, 0.5, 1.0), (0.5, 1.0, 2.0), strict=True)
    )
    for error in (Refused("401"), ConfigError([Problem("f", "k", "g", "e")])):
        calls, models, pauses = calls_of(error, "yes")
        with pytest.raises(type(error)):
            await calls.complete(REQUEST)
        assert (len(models.requests), pauses.made) == (1, [])


async def test_attempts_are_limited_and_the_last_error_is_told() -> None:
    calls, models, _ = calls_of(Unavailable("first"), Unavailable("second"), "yes", attempts=2)
    with pytest.raises(Unavailable, match="second"):
        await calls.complete(REQUEST)
    assert len(models.requests) == 2


async def test_retry_after_is_honoured_unless_it_is_beyond_the_deadline() -> None:
    calls, _, pauses = calls_of(Unavailable("429", retry_after_s=7.0), "yes")
    await calls.complete(REQUEST)
    assert pauses.made == [7.0]
    calls, models, pauses = calls_of(Unavailable("429", retry_after_s=61.0), "yes")
    with pytest.raises(Unavailable, match="429"):
        await calls.complete(REQUEST)
    assert (len(models.requests), pauses.made) == (1, [])


class Hanging:
    async def aclose(self) -> None:
        return

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_hang_ends_at_the_deadline_of_the_whole_call() -> None:
    calls = Calls(Hanging(), deadline_s=0.02, attempts=5, down_max=100)
    with pytest.raises(Unavailable, match=r"did not answer within 0\.02 s"):
        await calls.complete(REQUEST)


async def test_the_fuse_blows_after_so_many_calls_in_a_row_without_an_answer() -> None:
    down = Unavailable("down")
    calls, _, _ = calls_of(down, down, "yes", down, down, down, attempts=1, down_max=3)
    blown = []
    for _ in range(6):
        with contextlib.suppress(Unavailable):
            await calls.complete(REQUEST)
        blown.append(calls.blown is not None)
    assert blown == [False, False, False, False, False, True]
    assert isinstance(calls.blown, Unavailable)


async def test_requests_that_are_all_wrong_blow_the_fuse_and_a_few_among_good_ones_do_not() -> None:
    wrong = ConfigError([Problem("f", "k", "g", "e")])
    for lines, blows in (([wrong] * 5, True), ([wrong] * 4, False), (["yes", *[wrong] * 9], False)):
        calls, _, _ = calls_of(*lines)
        for _ in lines:
            with contextlib.suppress(ConfigError):
                await calls.complete(REQUEST)
        assert (calls.blown is wrong) == blows
