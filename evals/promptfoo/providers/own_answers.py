"""What the user's own providers return, as an answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from promptship.adapters.providers.dialects.call import count
from promptship.chat import ChatAnswer
from promptship.evals.promptfoo.javascript_text import json_text
from promptship.evals.services import ScriptFailed
from promptship.render.redact import redact

OWN_FAILED: Final = "the provider's own code failed"
_MESSAGE_MAX: Final = 800


def own_answer(
    given: Any, *, who: str, latency_ms: float = 0.0, secrets: tuple[str, ...] = (), bare: bool = False
) -> ChatAnswer:
    """The answer in `{output, error, tokenUsage, cost, ...}`; `bare`: a value without `output` is the output.

    Raises:
        ScriptFailed: it says `error`, or has no output.
    """
    if isinstance(given, Mapping) and ("output" in given or "error" in given):
        if given.get("error"):
            raise own_error(who, str(given["error"]), secrets)
        return _answer(given, who=who, latency_ms=latency_ms)
    if bare and given is not None:
        return _answer({"output": given}, who=who, latency_ms=latency_ms)
    shown = "nothing" if given is None else f"{type(given).__name__} without `output`"
    raise own_error(who, f"it returned {shown}; expected {{output: …}} or {{error: …}}")


def own_error(who: str, said: str, secrets: tuple[str, ...] = ()) -> ScriptFailed:
    """What went wrong in the user's own code, in its words, without the secrets of its environment."""
    known = [one for one in secrets if len(one) > 5]  # noqa: PLR2004 - as the redactor
    text = redact(" ".join(said.split()), known=known)[:_MESSAGE_MAX]
    return ScriptFailed(OWN_FAILED, f"{who}: {text}", raised=True)


def _answer(given: Mapping[str, Any], *, who: str, latency_ms: float) -> ChatAnswer:
    output = given.get("output")
    if output is None:
        raise own_error(who, "it returned no output")
    usage = _mapping(given.get("tokenUsage") or given.get("token_usage"))
    guardrails = _mapping(given.get("guardrails"))
    flagged = None
    if guardrails:
        flagged = {
            "input": bool(guardrails.get("flaggedInput")),
            "output": bool(guardrails.get("flaggedOutput"))
            or bool(guardrails.get("flagged") and not guardrails.get("flaggedInput")),
        }
    metadata = dict(_mapping(given.get("metadata")))
    for name in ("sessionId", "isRefusal"):
        if given.get(name) is not None:
            metadata.setdefault(name, given[name])
    text = output if isinstance(output, str) else json_text(output)
    return ChatAnswer(
        text=text,
        value=None if isinstance(output, str) else output,
        finish_reason=str(given.get("finishReason") or ""),
        tokens_in=count(usage.get("prompt")),
        tokens_out=count(usage.get("completion")),
        tokens_cached=count(usage.get("cached")),
        cost_usd=_cost(given.get("cost")),
        latency_ms=_cost(given.get("latencyMs")) or latency_ms,
        logprobs=tuple(float(one) for one in given.get("logProbs") or () if isinstance(one, int | float)),
        flagged=flagged,
        metadata=metadata,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _cost(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) and value >= 0 else None
