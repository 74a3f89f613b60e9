"""One request's observation: written exactly once, before its client can have seen the end of the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from promptship.gateway.choose import Choice
from promptship.gateway.reading import Reading
from promptship.gateway.sampling import Tap
from promptship.gateway.spans import Traced
from promptship.gateway.upstream import Costs
from promptship.routing.observation import Feedback


class Spool(Protocol):
    """Where lines go. Never raises, never blocks for long."""

    @property
    def lost(self) -> int:
        """Lines that could not be written since the start."""
        ...

    def write(self, record: Feedback | Mapping[str, Any]) -> bool:
        """Append one line, an observation as the mapping of its fields; False: it is lost."""
        ...

    def close(self) -> None:
        """Everything to the disk."""
        ...


_NOTHING = Reading()


class Record:
    """The line of one routed request. The first `write` counts; later ones do nothing, so an ending can never be doubled."""

    __slots__ = (
        "_began",
        "_choice",
        "_costs",
        "_model",
        "_monotonic",
        "_span",
        "_spool",
        "_ttft_ms",
        "at_ms",
        "id",
        "latency_ms",
        "streamed",
        "tap",
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
        costs: Costs | None = None,
        tap: Tap | None = None,
        span: Traced | None = None,
    ) -> None:
        self._spool = spool
        self._monotonic = monotonic
        self._began = began
        self._choice = choice
        self._costs = costs
        self._model = ""
        self._ttft_ms: float | None = None
        self._span = span
        self.id = id
        self.at_ms = at_ms
        self.streamed = streamed
        self.written = False
        self.latency_ms = 0.0
        self.tap = tap
        """Gathers the answer, if it was drawn to be scored."""

    def sent_to(self, model: str) -> None:
        """The model that was asked."""
        self._model = model

    def first_token(self) -> None:
        """The first piece of a stream that says something is here."""
        if self._ttft_ms is None:
            self._ttft_ms = self._elapsed_ms()

    def write(self, status: int, *, error_type: str = "", reading: Reading | None = None) -> None:
        """End it. `status` is what the client saw (499: it left); an `error_type` makes it an error."""
        if self.written:
            return
        self.written = True
        self.latency_ms = self._elapsed_ms()
        choice, usage = self._choice, (reading or _NOTHING).usage
        cost = None
        if self._costs is not None:
            cost = self._costs(
                self._model, usage.tokens_in, usage.tokens_out, usage.cached, usage.cache_written
            )
        # A mapping of Observation's fields: making and checking the model would cost as much as writing the line.
        line = {
            "id": self.id,
            "at_ms": self.at_ms,
            "prompt": choice.prompt,
            "version": choice.version,
            "arm": choice.arm,
            "release": choice.release,
            "stage": choice.stage,
            "unit": choice.unit,
            "model": self._model,
            "latency_ms": self.latency_ms,
            "ttft_ms": self._ttft_ms,
            "tokens_in": usage.tokens_in,
            "tokens_out": usage.tokens_out,
            "cost_usd": cost,
            "status": status,
            "error": bool(error_type),
            "error_type": error_type,
            "refusal": (reading or _NOTHING).refusal,
            "streamed": self.streamed,
            "decision": choice.decision.value,
        }
        self._spool.write(line)
        if self._span is not None:
            self._span.ended(line, None if reading is None else reading.told)

    def _elapsed_ms(self) -> float:
        return round((self._monotonic() - self._began) * 1000, 3)
