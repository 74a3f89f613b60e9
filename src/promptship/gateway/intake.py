"""A request's body becomes a `Call`, or the rejection that says which field is wrong. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

from promptship.gateway.rejection import Rejection, bad_request, unknown_model

SCHEME: Final = "prompt:"
UNIT_CHARACTERS_MAX: Final = 512
_MODEL: Final = re.compile(r"prompt:(?P<name>[a-z0-9][a-z0-9._-]{0,99})(?:@(?P<pin>[^@]+))?")
_PIN: Final = re.compile(r"[0-9a-f]{6,64}")


@dataclass(frozen=True, slots=True)
class Call:
    """A chat completion as the application asked for it."""

    prompt: str
    pin: str
    """Prefix of the digest that must serve, or empty."""
    unit: str
    """Who is randomised, or empty."""
    variables: dict[str, Any]
    messages: list[dict[str, Any]]
    """The conversation so far: follows the prompt's own messages."""
    stream: bool
    fields: dict[str, Any]
    """Everything else, passed on to the provider."""


def read_json(body: bytes) -> dict[str, Any] | Rejection:
    """The body as a JSON object."""
    try:
        value = orjson.loads(body)
    except ValueError as error:
        return bad_request(f"the body is not valid JSON: {error}", code="invalid_json")
    if not isinstance(value, dict):
        return bad_request("the body must be a JSON object", code="invalid_json")
    return value


def read_call(body: bytes, unit_header: str = "") -> Call | Rejection:
    """The call. `X-Unit-Id`, when given, says who is randomised; else it is the field `user`."""
    fields = read_json(body)
    if isinstance(fields, Rejection):
        return fields
    named = _named(fields.pop("model", None))
    if isinstance(named, Rejection):
        return named
    variables = fields.pop("prompt_variables", None)
    if variables is not None and not isinstance(variables, dict):
        return bad_request("prompt_variables must be an object of name to value", "prompt_variables")
    messages = fields.pop("messages", None)
    wrong = _wrong_messages(messages)
    if wrong is not None:
        return wrong
    stream = fields.get("stream")
    if not isinstance(stream, bool | None):
        return bad_request("stream must be true or false", "stream")
    unit = unit_header or fields.get("user") or ""
    if not isinstance(unit, str) or len(unit) > UNIT_CHARACTERS_MAX:
        return bad_request(
            f"user (or X-Unit-Id) must be a text of at most {UNIT_CHARACTERS_MAX} characters", "user"
        )
    return Call(
        prompt=named[0],
        pin=named[1],
        unit=unit,
        variables=variables or {},
        messages=messages or [],
        stream=bool(stream),
        fields=fields,
    )


def _named(model: object) -> tuple[str, str] | Rejection:
    """(prompt, pin) from `prompt:<name>` or `prompt:<name>@<digest prefix>`."""
    if not isinstance(model, str) or not model:
        return bad_request(
            "model is missing; write prompt:<name>", "model", code="missing_required_parameter"
        )
    if not model.startswith(SCHEME):
        return unknown_model(
            f"this gateway serves prompts, not models: write prompt:<name> instead of {model[:80]!r}"
        )
    match = _MODEL.fullmatch(model)
    if match is None:
        return unknown_model(f"{model[:120]!r} is no prompt:<name> or prompt:<name>@<digest>")
    pin = match["pin"] or ""
    if pin and not _PIN.fullmatch(pin):
        return unknown_model(f"{pin[:80]!r} is no version: give at least 6 characters of its digest")
    return match["name"], pin


def _wrong_messages(messages: object) -> Rejection | None:
    if messages is None:
        return None
    if not isinstance(messages, list):
        return bad_request("messages must be a list; it may be empty or absent", "messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            return bad_request("each message must be an object with a role", f"messages[{index}]")
    return None
