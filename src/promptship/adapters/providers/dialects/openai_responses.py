"""OpenAI's responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from promptship.adapters.providers.dialects.call import Dialect, HttpCall, Target, count
from promptship.adapters.providers.dialects.openai_chat import filtered
from promptship.chat import ChatAnswer, ChatRequest

_RENAMED: Final = {"max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens"}
_FINISH: Final = {"max_output_tokens": "length", "content_filter": "content_filter"}


def body(request: ChatRequest) -> dict[str, Any]:
    """The messages as input; parameters and tools of chat completions in the words of responses."""
    made = {_RENAMED.get(name, name): value for name, value in request.parameters.items()}
    effort = made.pop("reasoning_effort", None)
    if effort is not None:
        made["reasoning"] = {**(made.get("reasoning") or {}), "effort": effort}
    made |= {"model": request.model, "input": request.messages}
    if request.tools:
        made["tools"] = [flat_tool(tool) for tool in request.tools]
    if request.response_format is not None:
        made["text"] = {**(made.get("text") or {}), "format": text_format(request.response_format)}
    return made


def flat_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A tool of chat completions without its inner `function`; any other tool stays."""
    function = tool.get("function")
    return {"type": "function", **function} if isinstance(function, Mapping) else dict(tool)


def text_format(response_format: Mapping[str, Any]) -> dict[str, Any]:
    """A response format of chat completions without its inner `json_schema`."""
    schema = response_format.get("json_schema")
    return {"type": "json_schema", **schema} if isinstance(schema, Mapping) else dict(response_format)


def call(target: Target, _model: str, made: Mapping[str, Any]) -> HttpCall:
    """To `responses` under the base address."""
    return target.call("/responses", made)


def answer(value: Any) -> ChatAnswer:
    """Everything said and called, in order."""
    if value.get("status") == "failed":
        raise ValueError("the response failed")
    items = value["output"]
    texts: list[str] = []
    refusals: list[str] = []
    calls: list[dict[str, Any]] = []
    thoughts: list[str] = []
    for item in items:
        kind = item.get("type")
        if kind == "message":
            for part in item.get("content") or ():
                (refusals if part.get("type") == "refusal" else texts).append(
                    str(part.get("text") or part.get("refusal") or "")
                )
        elif kind == "function_call":
            calls.append(_call(item))
        elif kind == "reasoning":
            thoughts += [str(part.get("text") or "") for part in item.get("summary") or ()]
    if not (texts or refusals or calls):
        raise ValueError("neither text nor calls")
    usage = value.get("usage") or {}
    finish = _finish(value, calls)
    return ChatAnswer(
        text="\n".join(texts or refusals),
        tool_calls=tuple(calls),
        finish_reason=finish,
        model=str(value.get("model") or ""),
        tokens_in=count(usage.get("input_tokens")),
        tokens_out=count(usage.get("output_tokens")),
        tokens_cached=count((usage.get("input_tokens_details") or {}).get("cached_tokens")),
        flagged={"input": False, "output": bool(refusals) or finish == "content_filter"},
        metadata={"reasoning": "\n".join(thoughts)} if thoughts else {},
    )


def _call(item: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": item["name"], "arguments": item.get("arguments") or ""}
    return {"id": item.get("call_id") or item.get("id"), "type": "function", "function": function}


def _finish(value: Mapping[str, Any], calls: list[dict[str, Any]]) -> str:
    if value.get("status") == "incomplete":
        reason = str((value.get("incomplete_details") or {}).get("reason") or "")
        return _FINISH.get(reason, reason)
    return "tool_calls" if calls else "stop"


RESPONSES: Final = Dialect(name="response", body=body, call=call, answer=answer, filtered=filtered)
