"""What is said to a chat model, and what comes back; every provider's words are translated into these."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One call of a chat model."""

    model: str
    messages: tuple[dict[str, Any], ...]
    parameters: dict[str, Any] = field(default_factory=dict)
    """Sampling and other parameters, passed through as they are."""
    tools: tuple[dict[str, Any], ...] = ()
    response_format: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """What a provider says is left in its present window; None: it did not say."""

    requests_left: int | None = None
    tokens_left: int | None = None
    reset_s: float | None = None
    """Seconds until the window starts anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatAnswer:
    """What came back. Numbers are None when the provider did not say."""

    text: str
    tool_calls: tuple[dict[str, Any], ...] = ()
    finish_reason: str = ""
    model: str = ""
    """Model the provider says answered."""
    fingerprint: str = ""
    """The provider's name for the very configuration that answered (`system_fingerprint`)."""
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None
    """Part of `tokens_in` that the provider read from its own cache."""
    cost_usd: float | None = None
    latency_ms: float = 0.0
    value: Any = None
    """The answer as a JSON value when it is more than text (a parsed object, a list of calls); None: it is `text`."""
    logprobs: tuple[float, ...] = ()
    """Natural logarithms of the tokens' probabilities; empty: not given."""
    flagged: dict[str, bool] | None = None
    """Guardrails of the provider that were asked: for the input, for the output; None: it has none."""
    cached: bool = False
    """Taken from an earlier run: nothing was paid."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """What a provider of the user's own says besides: tools used, a trace, anything that is JSON."""
    limits: RateLimits | None = None
