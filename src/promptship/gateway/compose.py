"""The body the provider gets: the prompt, rendered, with what the application added. Pure."""

from __future__ import annotations

from typing import Any, Final

import orjson

from promptship.errors import InvalidVariables, PromptshipError
from promptship.gateway.intake import Call
from promptship.gateway.live import Ready
from promptship.gateway.rejection import Rejection, bad_request
from promptship.prompts.render import Rendered, render

CLIENTS_OWN: Final = ("stream", "stream_options", "user")
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


def body(prompt: Rendered, call: Call) -> bytes:
    """Chat completion in JSON: the prompt's messages, then the conversation; the prompt's parameters win over the call's.

    Tools and response format are the prompt's when it has them, else the call's.
    """
    fields: dict[str, Any] = {**call.fields, **prompt.parameters}
    for name in CLIENTS_OWN:
        if name in call.fields:
            fields[name] = call.fields[name]
        else:
            fields.pop(name, None)
    if prompt.tools:
        fields["tools"] = prompt.tools
    if prompt.response_format is not None:
        fields["response_format"] = prompt.response_format
    fields["model"] = prompt.model
    fields["messages"] = [*prompt.messages, *call.messages]
    return orjson.dumps(fields)
