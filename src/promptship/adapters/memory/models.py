"""Models that answer from a script: for tests of everything that calls a model, and for trying promptship without a key."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from promptship.errors import Unavailable
from promptship.ports import ChatAnswer, ChatRequest

Line = str | ChatAnswer | Exception
"""A text, a whole answer, or the error to raise."""


class ScriptedModels:
    """`Models` without a network.

    Args:
        script: a function from request to line, or lines that are given out in order; when they have run out, every call
            is `Unavailable`.
    """

    def __init__(self, script: Callable[[ChatRequest], Line] | Iterable[Line]) -> None:
        self._answer = script if callable(script) else _in_order(script)
        self.requests: list[ChatRequest] = []
        """Every request so far."""

    async def aclose(self) -> None:
        """Nothing to close."""

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        """The script's line for this request.

        Raises:
            Unavailable: the script is over, or says so.
        """
        self.requests.append(request)
        line = self._answer(request)
        if isinstance(line, Exception):
            raise line
        if isinstance(line, ChatAnswer):
            return line
        return ChatAnswer(text=line, finish_reason="stop", model=request.model)


def _in_order(lines: Iterable[Line]) -> Callable[[ChatRequest], Line]:
    rest = iter(lines)
    return lambda _: next(rest, Unavailable("the script has no more answers"))
