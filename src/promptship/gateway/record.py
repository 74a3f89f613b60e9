"""One request's observation: written exactly once, before its client can have seen the end of the answer."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from promptship.gateway.choose import Choice
from promptship.gateway.reading import Reading
from promptship.routing.observation import Feedback, Observation


class Spool(Protocol):
    """Where lines go. Never raises, never blocks for long."""

    @property
    def lost(self) -> int:
        """Lines that could not be written since the start."""
        ...

    def write(self, record: Observation | Feedback) -> bool:
        """Append one line; False: it is lost."""
        ...

    def close(self) -> None:
        """Everything to the disk."""
        ...


def uuid7(at_ms: int) -> str:
    """A UUIDv7 of that moment (Unix time in ms): sorts by time, so that joins on it stay cheap."""
    value = (at_ms & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Record:
    """The line of one routed request. The first `write` counts; later ones do nothing, so an ending can never be doubled."""

    __slots__ = (
        "_began",
        "_choice",
        "_model",
        "_monotonic",
        "_spool",
        "_ttft_ms",
        "at_ms",
        "id",
        "streamed",
        "written",
    )

    def __init__(
        self,
        spool: Spool,
        monotonic: Callable[[], float],
        *,
        id: str,  # noqa: A002 - Observation.id
        at_ms: int,
        began: float,
        choice: Choice,
        streamed: bool,
    ) -> None:
        self._spool = spool
        self._monotonic = monotonic
        self._began = began
        self._choice = choice
        self._model = ""
        self._ttft_ms: float | None = None
        self.id = id
        self.at_ms = at_ms
        self.streamed = streamed
        self.written = False

    def sent_to(self, model: str) -> None:
        """The model that was asked."""
        self._model = model

    def first_byte(self) -> None:
        """The first piece of a stream is here."""
        if self._ttft_ms is None:
            self._ttft_ms = self._elapsed_ms()

    def write(self, status: int, *, error_type: str = "", reading: Reading | None = None) -> None:
        """End it. `status` is what the client saw (499: it left); an `error_type` makes it an error."""
        if self.written:
            return
        self.written = True
        reading = reading or Reading()
        choice = self._choice
        observation = Observation(
            id=self.id,
            at_ms=self.at_ms,
            prompt=choice.prompt,
            version=choice.version,
            arm=choice.arm,
            release=choice.release,
            stage=choice.stage,
            unit=choice.unit,
            model=self._model,
            latency_ms=self._elapsed_ms(),
            ttft_ms=self._ttft_ms,
            tokens_in=reading.tokens_in,
            tokens_out=reading.tokens_out,
            status=status,
            error=bool(error_type),
            error_type=error_type,
            refusal=reading.refusal,
            streamed=self.streamed,
        )
        self._spool.write(observation)

    def _elapsed_ms(self) -> float:
        return round((self._monotonic() - self._began) * 1000, 3)
