"""Models that answer from a script: for tests of everything that calls a model, and for trying promptship without a key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from promptship.chat import ChatAnswer, ChatRequest
from promptship.errors import Unavailable

Line = str | ChatAnswer | Exception
"""A text, a whole answer, or the error to raise."""


class ScriptedModels:
    """`Models` without a network.

    Args:
        script: a function from request to line, or lines that are given out in order; when they have run out, every call
            is `Unavailable`.
        vectors: of texts; a text that is not there gets one made of its letters, so that equal texts are alike.
        flags: what moderation finds, by answer.
    """

    def __init__(
        self,
        script: Callable[[ChatRequest], Line] | Iterable[Line],
        *,
        vectors: Mapping[str, Sequence[float]] | None = None,
        flags: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        self._answer = script if callable(script) else _in_order(script)
        self._vectors = dict(vectors or {})
        self._flags = dict(flags or {})
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

    async def embed(self, model: str, texts: Sequence[str]) -> tuple[Sequence[Sequence[float]], int]:
        """One vector per text; a word counts as a token."""
        del model
        found = [self._vectors.get(text) or _letters(text) for text in texts]
        return found, sum(len(text.split()) for text in texts)

    async def moderate(self, model: str, asked: str, said: str) -> Mapping[str, float]:
        """What the flags say of the answer."""
        del model, asked
        return dict(self._flags.get(said, {}))


def _letters(text: str) -> tuple[float, ...]:
    """How often each letter occurs, and a last number that is never 0."""
    lower = text.lower()
    return (*(float(lower.count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz"), 1.0)


def _in_order(lines: Iterable[Line]) -> Callable[[ChatRequest], Line]:
    rest = iter(lines)
    return lambda _: next(rest, Unavailable("the script has no more answers"))
