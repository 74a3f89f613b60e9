"""An endpoint that says nothing but "not so often", in a loop whose clock jumps to the next timer."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Iterator

import pytest

from promptship.chat import ChatAnswer
from promptship.errors import PromptshipError, Unavailable
from promptship.evals.calls import Calls, Limits

CALLS = 200


class _Clock(selectors.SelectSelector):
    """Instead of waiting it lets time pass."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0)


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.clock = _Clock()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


def run(calls: Calls, replies: Iterator[bool], *, retry_after_s: float | None) -> tuple[int, float]:
    """Number of answers, and the second at which the last call ended. `replies`: whether the endpoint answers."""

    async def once() -> ChatAnswer:
        await asyncio.sleep(0.02)
        if next(replies):
            return ChatAnswer(text="yes")
        raise Unavailable("429", throttled=True, retry_after_s=retry_after_s)

    async def one() -> int:
        try:
            await calls.answer("m", once)
        except PromptshipError:
            return 0
        return 1

    async def all_of_them() -> tuple[int, float]:
        answers = sum(await asyncio.gather(*(one() for _ in range(CALLS))))
        return answers, asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
        return runner.run(all_of_them())


@pytest.mark.parametrize("retry_after_s", [None, 1.0, 20.0])
def test_an_endpoint_that_says_nothing_else_is_given_up_for_all_calls_at_once(
    retry_after_s: float | None,
) -> None:
    calls = Calls(Limits(patience_s=300.0))
    answers, seconds = run(calls, iter(lambda: False, None), retry_after_s=retry_after_s)
    assert answers == 0
    assert 300 <= seconds < 330
    assert "but that it is not the time" in str(calls.dead["m"])


def test_one_that_answers_now_and_then_is_not() -> None:
    calls = Calls(Limits(patience_s=300.0))
    answers, seconds = run(calls, (number % 4 == 3 for number in range(100_000)), retry_after_s=5.0)
    assert answers > CALLS / 2, "a call has patience of its own, too"
    assert seconds > 600
    assert not calls.dead
