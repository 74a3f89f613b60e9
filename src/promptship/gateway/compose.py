"""The body the provider gets, in the API the call came by: the prompt, rendered, with what the application added. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import orjson

from promptship.adapters.providers.dialects import MESSAGES, RESPONSES
from promptship.adapters.providers.dialects.anthropic import MAX_TOKENS
from promptship.adapters.providers.dialects.messages import split_system
from promptship.chat import ChatRequest
from promptship.client.live import Ready
from promptship.errors import ConfigError, InvalidVariables, PromptshipError
from promptship.gateway.intake import Call
from promptship.gateway.rejection import Rejection, bad_request
from promptship.prompts.render import Rendered, declared, render

CLIENTS_OWN: Final = ("stream", "stream_options", "user", "safety_identifier")
"""Fields about the transport and the asker: always the application's, never the prompt file's."""


def rendered(ready: Ready, call: Call) -> Rendered | Rejection:
    """The version with the call's variables. A wrong variable is the first of its problems, by name, in `param`."""
    if isinstance(ready, PromptshipError):
        return Rejection(500, "prompt_unreadable", str(ready))
    try:
        result = render(ready, call.variables)
    except InvalidVariables as error:
        first = next(iter(error.problems), None)
        return bad_request(str(error), first, code="invalid_prompt_variables")
    except PromptshipError:
        # The message may quote a value; what it is about stands in the ledger's lint verdict.
        return Rejection(
            500, "prompt_not_rendered", f"the prompt {call.prompt!r} cannot be rendered with these variables"
        )
    if not result.model:
        return Rejection(500, "prompt_without_model", f"the prompt {call.prompt!r} names no model")
    return result


def safe_call(ready: Ready, call: Call) -> Call:
    """The call as the safe version understands it: callers send the variables of the version they know, and must not fail by that."""
    if isinstance(ready, PromptshipError):
        return call
    return replace(call, variables=declared(ready, call.variables))


def body(prompt: Rendered, call: Call) -> bytes:
    """Chat completion in JSON: the prompt's messages, then the conversation; the prompt's parameters win over the call's.

    Tools and response format are the prompt's when it has them, else the call's.
    """
    fields = _merged(call, prompt.parameters)
    if prompt.tools:
        fields["tools"] = prompt.tools
    if prompt.response_format is not None:
        fields["response_format"] = prompt.response_format
    fields["model"] = prompt.model
    fields["messages"] = [*prompt.messages, *call.messages]
    options = fields.get("stream_options")
    if call.stream and isinstance(
        options, dict | None
    ):  # so that tokens are known; hiding.py keeps them from who did not ask
        fields["stream_options"] = {**(options or {}), "include_usage": True}
    return orjson.dumps(fields)


def response_body(prompt: Rendered, call: Call) -> bytes:
    """A response in JSON: the prompt's system messages as `instructions`, its others before the call's `input`.

    Instructions of the call follow the prompt's. Parameters, tools and the form of the answer as in `body`, in the words of
    responses.
    """
    made = RESPONSES.body(_request(prompt))
    system, messages = split_system(made.pop("input"))
    given = call.fields.get("instructions")
    instructions = [*system, given] if isinstance(given, str) and given else system
    fields = _merged(call, made)
    if isinstance(given := call.fields.get("text"), dict) and isinstance(made.get("text"), dict):
        fields["text"] = {**given, **made["text"]}
    if isinstance(given := call.fields.get("reasoning"), dict) and isinstance(made.get("reasoning"), dict):
        fields["reasoning"] = {**given, **made["reasoning"]}
    if instructions:
        fields["instructions"] = "\n\n".join(instructions)
    fields["input"] = [*messages, *call.messages]
    return orjson.dumps(fields)


def message_body(prompt: Rendered, call: Call) -> bytes | Rejection:
    """Anthropic's message in JSON: the prompt's system messages, then the call's; the prompt's turns, then the call's."""
    try:
        made = MESSAGES.body(_request(prompt))
    except ConfigError as error:
        problem = error.problems[0]
        return bad_request(
            f"the prompt {call.prompt!r} asks for what Anthropic's messages cannot say ({problem.key}): use chat completions",
            problem.key,
            code="prompt_not_expressible",
        )
    limited = {"max_tokens", "max_completion_tokens"} & prompt.parameters.keys()
    if not limited and isinstance(call.fields.get("max_tokens"), int):
        made.pop("max_tokens")
    turns, system = made.pop("messages"), made.pop("system", [])
    given = call.fields.get("system")
    if given:
        system = [*system, *([{"type": "text", "text": given}] if isinstance(given, str) else given)]
    fields = {"max_tokens": MAX_TOKENS, **_merged(call, made)}
    if system:
        fields["system"] = system
    fields["messages"] = [*turns, *call.messages]
    return orjson.dumps(fields)


def _merged(call: Call, prompts: dict[str, Any]) -> dict[str, Any]:
    fields = {**call.fields, **prompts}
    for name in CLIENTS_OWN:
        if name in call.fields:
            fields[name] = call.fields[name]
        else:
            fields.pop(name, None)
    return fields


def _request(prompt: Rendered) -> ChatRequest:
    return ChatRequest(
        model=prompt.model or "",
        messages=prompt.messages,
        parameters=prompt.parameters,
        tools=prompt.tools,
        response_format=prompt.response_format,
    )
