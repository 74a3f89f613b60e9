"""Google's generateContent, of AI Studio (a key) and of Vertex AI (a bearer token)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

import orjson

from promptship.adapters.providers.dialects.call import Dialect, HttpCall, Target, count, total
from promptship.adapters.providers.dialects.messages import (
    Message,
    as_list,
    calls_of,
    image_of,
    parts_of,
    split_system,
    text_of,
    tool_of,
)
from promptship.chat import ChatAnswer, ChatRequest

API_VERSION: Final = "v1beta"
_RENAMED: Final = {
    "temperature": "temperature", "top_p": "topP", "top_k": "topK", "max_tokens": "maxOutputTokens",
    "max_completion_tokens": "maxOutputTokens", "seed": "seed", "n": "candidateCount", "stop": "stopSequences",
    "presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty", "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}  # fmt: skip
FINISH: Final = {"STOP": "stop", "MAX_TOKENS": "length", "MALFORMED_FUNCTION_CALL": "tool_calls"}
FILTERED: Final = frozenset(
    {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"}
)


def body(request: ChatRequest) -> dict[str, Any]:
    """The request in Google's words; a parameter they have no word for stays at the top."""
    parameters = dict(request.parameters)
    generation: dict[str, Any] = dict(parameters.pop("generationConfig", None) or {})
    for name, renamed in _RENAMED.items():
        if name in parameters:
            value = parameters.pop(name)
            generation[renamed] = as_list(value) if name == "stop" else value
    choice = parameters.pop("tool_choice", None)
    if request.response_format is not None and request.response_format.get("type") != "text":
        generation["responseMimeType"] = "application/json"
        schema = (request.response_format.get("json_schema") or {}).get("schema")
        if schema is not None:
            generation["responseJsonSchema"] = schema
    system, messages = split_system(request.messages)
    made: dict[str, Any] = {"contents": contents(messages)}
    if system:
        made["systemInstruction"] = {"parts": [{"text": text} for text in system]}
    if generation:
        made["generationConfig"] = generation
    if request.tools:
        made["tools"] = tools(request.tools)
    if choice is not None:
        made["toolConfig"] = {"functionCallingConfig": _choice(choice)}
    return made | parameters


def contents(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Messages without the system's."""
    made: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for message in messages:
        calls = calls_of(message)
        names |= {id_: name for id_, name, _ in calls}
        if message.get("role") == "tool":
            name = names.get(str(message.get("tool_call_id")), str(message.get("name") or ""))
            parts: list[dict[str, Any]] = [
                {"functionResponse": {"name": name, "response": _result(message.get("content"))}}
            ]
        else:
            parts = [_part(part) for part in parts_of(message.get("content"))]
        parts += [
            {"functionCall": {"name": name, "args": arguments}, **_signed(call)}
            for (_, name, arguments), call in zip(calls, message.get("tool_calls") or (), strict=True)
        ]
        role = "model" if message.get("role") in {"assistant", "model"} else "user"
        made.append({"role": role, "parts": parts})
    return made


def _result(content: Any) -> dict[str, Any]:
    text = text_of(content)
    try:
        value = orjson.loads(text)
    except ValueError:
        value = text
    return value if isinstance(value, dict) else {"result": value}


def signature_of(part: Mapping[str, Any]) -> dict[str, Any] | None:
    """What Google wants back with a call, where Google itself puts it for OpenAI's clients; None: nothing."""
    signature = part.get("thoughtSignature")
    return {"google": {"thought_signature": signature}} if signature else None


def _signed(call: Mapping[str, Any]) -> dict[str, Any]:
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, Mapping) else None
    signature = google.get("thought_signature") if isinstance(google, Mapping) else None
    return {"thoughtSignature": signature} if signature else {}


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    image = image_of(part)
    if image is None:
        return {"text": part["text"]} if part.get("type") == "text" else dict(part)
    media, data = image
    return {"inlineData": {"mimeType": media, "data": data}} if media else {"fileData": {"fileUri": data}}


def tools(given: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Tools in OpenAI's words as function declarations in one tool; others stay."""
    declared: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for one in given:
        found = tool_of(one)
        if found is None:
            others.append(dict(one))
            continue
        name, description, schema = found
        declared.append({"name": name, "description": description, "parametersJsonSchema": schema})
    return ([{"functionDeclarations": declared}] if declared else []) + others


def _choice(choice: Any) -> Any:
    if isinstance(choice, str):
        return {"mode": {"required": "ANY", "none": "NONE"}.get(choice, "AUTO")}
    function = choice.get("function") if isinstance(choice, Mapping) else None
    if isinstance(function, Mapping):
        return {"mode": "ANY", "allowedFunctionNames": [function["name"]]}
    return choice


def model_path(target: Target, model: str, verb: str) -> str:
    """Of AI Studio, or of Vertex AI when the target has a project."""
    name = quote(model.removeprefix("models/"), safe="")
    if not target.project:
        return f"/{target.api_version or API_VERSION}/models/{name}:{verb}"
    where = f"projects/{quote(target.project, safe='')}/locations/{quote(target.location, safe='')}"
    return f"/{target.api_version or 'v1'}/{where}/publishers/google/models/{name}:{verb}"


def call(target: Target, model: str, made: Mapping[str, Any]) -> HttpCall:
    """To the model's generateContent."""
    return target.call(model_path(target, model, "generateContent"), made)


def answer(value: Any) -> ChatAnswer:
    """The first candidate; a prompt or an answer that Google blocked is an empty, flagged one."""
    usage = value.get("usageMetadata") or {}
    blocked = (value.get("promptFeedback") or {}).get("blockReason")
    if blocked and not value.get("candidates"):
        return _answered(value, usage, "content_filter", (), {"input": True, "output": False})
    candidate = value["candidates"][0]
    reason = str(candidate.get("finishReason") or "")
    parts = (candidate.get("content") or {}).get("parts") or ()
    is_filtered = reason in FILTERED
    if not parts and not is_filtered and reason not in {"STOP", "MAX_TOKENS"}:
        raise ValueError("no parts")
    finish = "content_filter" if is_filtered else FINISH.get(reason, reason.lower())
    return _answered(value, usage, finish, parts, {"input": False, "output": is_filtered})


def _answered(
    value: Any,
    usage: Mapping[str, Any],
    finish: str,
    parts: Iterable[Mapping[str, Any]],
    flagged: dict[str, bool],
) -> ChatAnswer:
    parts = list(parts)
    calls = tuple(_call(part) for part in parts if "functionCall" in part)
    thoughts = [str(part["text"]) for part in parts if part.get("thought") and "text" in part]
    candidates = value.get("candidates") or [{}]
    return ChatAnswer(
        text="".join(str(part["text"]) for part in parts if "text" in part and not part.get("thought")),
        tool_calls=calls,
        finish_reason="tool_calls" if calls and finish == "stop" else finish,
        model=str(value.get("modelVersion") or ""),
        tokens_in=count(usage.get("promptTokenCount")),
        tokens_out=total(count(usage.get("candidatesTokenCount")), count(usage.get("thoughtsTokenCount"))),
        tokens_cached=count(usage.get("cachedContentTokenCount")),
        logprobs=_logprobs(candidates[0].get("logprobsResult")),
        flagged=flagged,
        metadata={"reasoning": "".join(thoughts)} if thoughts else {},
    )


def _call(part: Mapping[str, Any]) -> dict[str, Any]:
    called, extra = part["functionCall"], signature_of(part)
    function = {"name": called["name"], "arguments": orjson.dumps(called.get("args") or {}).decode()}
    made: dict[str, Any] = {"type": "function", "function": function}
    if called.get("id"):
        made["id"] = called["id"]
    return {**made, "extra_content": extra} if extra else made


def _logprobs(result: Any) -> tuple[float, ...]:
    return tuple(float(one["logProbability"]) for one in (result or {}).get("chosenCandidates") or ())


GEMINI: Final = Dialect(name="generated content", body=body, call=call, answer=answer)
