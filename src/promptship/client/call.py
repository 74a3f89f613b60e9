"""One rendered prompt: what to send to the model, and how to report what came back."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from promptship.client.outbox import Outbox
from promptship.prompts.render import Rendered
from promptship.routing.choice import Choice
from promptship.routing.observation import Arm
from promptship.routing.refusal import TEXT_CHARACTERS_MAX, refused
from promptship.routing.token import Claims, sign

ERROR_CHARACTERS_MAX: Final = 40
_OK: Final = 200
_FAILED: Final = 502
_LEFT: Final = 499


class PromptCall:
    """A prompt, rendered for one request. Its `repr` shows no text of it.

    Attributes:
        messages: as of chat completions.
        model: the version's.
        parameters: the version's, such as `temperature`.
        tools: the version's, as of chat completions.
        response_format: the version's, as of chat completions; None: it has none.
        id: of the request; its observation and feedback carry it.
    """

    __slots__ = (
        "_at_ms", "_choice", "_observed", "_outbox", "_secret", "id", "messages", "model", "parameters", "response_format",
        "tools",
    )  # fmt: skip

    def __init__(
        self, rendered: Rendered, choice: Choice, *, id: str, at_ms: int, secret: bytes, outbox: Outbox  # noqa: A002
    ) -> None:  # fmt: skip
        self.messages = rendered.messages
        self.model = rendered.model or ""
        self.parameters = rendered.parameters
        self.tools = rendered.tools
        self.response_format = rendered.response_format
        self.id = id
        self._choice = choice
        self._at_ms = at_ms
        self._secret = secret
        self._outbox = outbox
        self._observed = False

    @property
    def prompt(self) -> str:
        """Name of the prompt."""
        return self._choice.prompt

    @property
    def version(self) -> str:
        """Digest of the version."""
        return self._choice.version

    @property
    def arm(self) -> Arm:
        """`stable` or `candidate`; in an experiment with several arms the control is `stable`."""
        return self._choice.arm

    @property
    def variant(self) -> str:
        """Name of the arm in an experiment with several; empty: it takes part in none."""
        return self._choice.variant

    @property
    def release(self) -> str | None:
        """The release, or the experiment with several arms, that this request takes part in; None: it takes part in none."""
        return self._choice.release

    @property
    def disclosure(self) -> str:
        """What everybody in this experiment is to be told, in either arm; empty: nothing."""
        return self._choice.disclosure

    @property
    def token(self) -> str:
        """For `Client.feedback`, now or weeks later, in any process with the same key. Holds no text and no user."""
        return sign(self._secret, claims(self._choice, self.id, self._at_ms))

    def body(self, **more: Any) -> dict[str, Any]:
        """The body of a chat completion; `more` is added, a parameter of the prompt wins."""
        fields: dict[str, Any] = {**more, **self.parameters, "model": self.model}
        fields["messages"] = [*self.messages, *more.get("messages", ())]
        if self.tools:
            fields["tools"] = list(self.tools)
        if self.response_format is not None:
            fields["response_format"] = self.response_format
        return fields

    def observe(
        self,
        *,
        latency_ms: float,
        text: str | None = None,
        ttft_ms: float | None = None,
        tokens_in: int | None = None,
        tokens_out: int | None = None,
        cost_usd: float | None = None,
        status: int = _OK,
        error_type: str = "",
        finish_reason: str = "",
        streamed: bool = False,
    ) -> bool:
        """Report how it went, in the background. Only the first report of a call counts; False: it could not be queued.

        Args:
            latency_ms: until the last byte of the answer.
            text: the answer; looked at here for a refusal, and never sent.
            ttft_ms: until the first token.
            tokens_in: as the provider counts.
            tokens_out: as the provider counts.
            cost_usd: None: the gateway works it out, where it knows the model's prices.
            status: HTTP status the user saw.
            error_type: a word, such as `timeout`; anything makes it an error.
            finish_reason: the provider's.
            streamed: whether it was.
        """
        if self._observed:
            return False
        self._observed = True
        refusal = None if text is None else refused(text[:TEXT_CHARACTERS_MAX], finish_reason=finish_reason)
        line = observation(
            self._choice, id=self.id, at_ms=self._at_ms, model=self.model, latency_ms=latency_ms, status=status,
            error_type=error_type,
        )  # fmt: skip
        line |= {"ttft_ms": ttft_ms, "tokens_in": tokens_in, "tokens_out": tokens_out, "cost_usd": cost_usd}
        line |= {"refusal": refusal, "streamed": streamed}
        return self._outbox.put("observations", line)

    def timed(self) -> Timing:
        """`with call.timed() as timing:` around the call to the model reports it, also when it raises."""
        return Timing(self)

    def __repr__(self) -> str:
        return f"PromptCall({self.prompt!r}, version={self.version[:12]!r}, arm={self.arm!r}, id={self.id!r})"


class Timing:
    """Measures one call to a model and reports it at the end of the `with`."""

    def __init__(self, call: PromptCall, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._call = call
        self._monotonic = monotonic
        self._began = 0.0
        self._told: dict[str, Any] = {}

    def first_token(self) -> None:
        """The first piece of a stream is here."""
        self._told.setdefault("streamed", True)
        self._told.setdefault("ttft_ms", self._elapsed_ms())

    def answered(
        self,
        text: str | None = None,
        *,
        tokens_in: int | None = None,
        tokens_out: int | None = None,
        cost_usd: float | None = None,
        finish_reason: str = "",
    ) -> None:
        """What came back; see `PromptCall.observe`."""
        self._told |= {
            "text": text, "tokens_in": tokens_in, "tokens_out": tokens_out, "cost_usd": cost_usd,
            "finish_reason": finish_reason,
        }  # fmt: skip

    def failed(self, error_type: str, *, status: int = _FAILED) -> None:
        """It went wrong without an exception."""
        self._told |= {"error_type": error_type, "status": status}

    def __enter__(self) -> Self:
        self._began = self._monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self.failed(type(error).__name__)
        elif error is not None:
            self._told["status"] = _LEFT  # cancelled: whoever asked has left, which is nobody's error
        self._call.observe(latency_ms=self._elapsed_ms(), **self._told)

    def _elapsed_ms(self) -> float:
        return round((self._monotonic() - self._began) * 1000, 3)


def claims(choice: Choice, request: str, at_ms: int) -> Claims:
    """What a feedback token says."""
    return Claims(
        request, at_ms, choice.prompt, choice.version, choice.arm, choice.release, choice.stage, choice.unit
    )


def observation(
    choice: Choice, *, id: str, at_ms: int, model: str, latency_ms: float, status: int, error_type: str  # noqa: A002
) -> dict[str, Any]:  # fmt: skip
    """The fields of an `Observation` that every report has."""
    return {
        "id": id, "at_ms": at_ms, "prompt": choice.prompt, "version": choice.version, "arm": choice.arm,
        "release": choice.release, "stage": choice.stage, "unit": choice.unit, "decision": choice.decision.value, "model": model,
        "latency_ms": max(0.0, latency_ms), "status": status, "error": bool(error_type),
        "error_type": _word(error_type),
    }  # fmt: skip


def _word(error_type: str) -> str:
    """A word: whatever an application passes by mistake, no text of an error leaves it."""
    kept = "".join(char for char in error_type[:ERROR_CHARACTERS_MAX] if char.isalnum() or char in "._-")
    return kept if kept == error_type[:ERROR_CHARACTERS_MAX] else "error"
