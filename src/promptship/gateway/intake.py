"""A request's body becomes a `Call`, or the rejection that says which field is wrong. Pure.

What the APIs share is here, with chat completions; the others are in intake_responses.py and intake_messages.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from promptship.gateway.rejection import Rejection, bad_request, unknown_model
from promptship.routing.choice import UNIT_CHARACTERS_MAX

SCHEME: Final = "prompt:"
SCHEMES: Final = (SCHEME, "promptship/")
"""How a prompt is named where an API wants a model."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_PIN: Final = re.compile(r"[0-9a-f]{6,64}")


@dataclass(frozen=True, slots=True)
class Call:
    """What an application asked for."""

    prompt: str
    pin: str
    """Prefix of the digest that must serve, or empty."""
    unit: str
    """Who is randomised, or empty."""
    variables: dict[str, Any]
    messages: list[Any]
    """The conversation so far, in the API's own words: follows the prompt's own messages."""
    stream: bool
    fields: dict[str, Any]
    """Everything else, passed on to the provider."""
    named_by: str = "model"
    """The field that names prompt and version, for refusals."""


@dataclass(frozen=True, slots=True)
class Names:
    """What applications may call a prompt, beside its name (settings `gateway.prompt_ids`)."""

    ids: Mapping[str, str] = field(default_factory=dict)

    def resolve(self, name: str, version: str, param: str) -> tuple[str, str] | Rejection:
        """(prompt, pin). A version that is neither a digest nor known here is refused: another one is never served for it."""
        named = self.ids.get(f"{name}@{version}") if version else None
        if named is not None:
            name, _, version = named.partition("@")
        else:
            name, _, usual = self.ids.get(name, name).partition("@")
            version = version or usual
        if not _NAME.fullmatch(name):
            return unknown_model(f"{name[:120]!r} is no name of a prompt", param)
        if version and not _PIN.fullmatch(version):
            return unknown_model(
                f"{version[:80]!r} is no version of {name}: give at least 6 characters of its digest, or a version that "
                "gateway.prompt_ids knows; no other is served for it",
                param,
            )
        return name, version


def read_json(body: bytes) -> dict[str, Any] | Rejection:
    """The body as a JSON object."""
    try:
        value = orjson.loads(body)
    except ValueError as error:
        return bad_request(f"the body is not valid JSON: {error}", code="invalid_json")
    if not isinstance(value, dict):
        return bad_request("the body must be a JSON object", code="invalid_json")
    return value


@dataclass(frozen=True, slots=True)
class Asked:
    """The part that chat completions and messages share. `fields` is what nobody has read yet."""

    prompt: str
    pin: str
    variables: dict[str, Any]
    messages: list[Any]
    fields: dict[str, Any]


def read_asked(body: bytes, names: Names) -> Asked | Rejection:
    """The prompt that `model` names, its variables, and the conversation; each is taken out of the body's fields."""
    fields = read_json(body)
    if isinstance(fields, Rejection):
        return fields
    named = named_by_model(fields, names)
    if isinstance(named, Rejection):
        return named
    variables = take_variables(fields)
    if isinstance(variables, Rejection):
        return variables
    messages = fields.pop("messages", None)
    wrong = wrong_messages(messages)
    if wrong is not None:
        return wrong
    return Asked(*named, variables, messages or [], fields)


def read_call(body: bytes, unit_header: str = "", names: Names | None = None) -> Call | Rejection:
    """The call of a chat completion. `X-Unit-Id`, when given, says who is randomised; else `user` or `safety_identifier`."""
    asked = read_asked(body, names or Names())
    if isinstance(asked, Rejection):
        return asked
    stream = read_stream(asked.fields)
    if isinstance(stream, Rejection):
        return stream
    unit = unit_of(unit_header, asked.fields, "user", "safety_identifier")
    if isinstance(unit, Rejection):
        return unit
    return Call(asked.prompt, asked.pin, unit, asked.variables, asked.messages, stream, asked.fields)


def named_by_model(fields: dict[str, Any], names: Names) -> tuple[str, str] | Rejection:
    """(prompt, pin) from the field `model`: `prompt:<name>` or `promptship/<name>`, either with `@<digest prefix>`."""
    model = fields.pop("model", None)
    if not isinstance(model, str) or not model:
        return bad_request(
            "model is missing; write prompt:<name>", "model", code="missing_required_parameter"
        )
    scheme = next((one for one in SCHEMES if model.startswith(one)), None)
    if scheme is None:
        return unknown_model(
            f"this gateway serves prompts, not models: write prompt:<name> instead of {model[:80]!r}"
        )
    name, at, pin = model[len(scheme) :].partition("@")
    if at and not pin:
        return unknown_model(f"{model[:120]!r} is no prompt:<name> or prompt:<name>@<digest>")
    return names.resolve(name, pin, "model")


def take_variables(fields: dict[str, Any]) -> dict[str, Any] | Rejection:
    """The field `prompt_variables`, taken out."""
    variables = fields.pop("prompt_variables", None)
    if variables is not None and not isinstance(variables, dict):
        return bad_request("prompt_variables must be an object of name to value", "prompt_variables")
    return variables or {}


def read_stream(fields: Mapping[str, Any]) -> bool | Rejection:
    """Whether the answer is to be streamed."""
    stream = fields.get("stream")
    if not isinstance(stream, bool | None):
        return bad_request("stream must be true or false", "stream")
    return bool(stream)


def unit_of(header: str, fields: Mapping[str, Any], *names: str) -> str | Rejection:
    """Who is randomised: the header, else the first of these fields that is given."""
    name = next((one for one in names if fields.get(one)), names[0])
    unit = header or fields.get(name) or ""
    if not isinstance(unit, str) or len(unit) > UNIT_CHARACTERS_MAX:
        return bad_request(
            f"{name} (or X-Unit-Id) must be a text of at most {UNIT_CHARACTERS_MAX} characters", name
        )
    return unit


def wrong_messages(messages: object) -> Rejection | None:
    """What is wrong with a conversation; None: nothing."""
    if messages is None:
        return None
    if not isinstance(messages, list):
        return bad_request("messages must be a list; it may be empty or absent", "messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            return bad_request("each message must be an object with a role", f"messages[{index}]")
    return None
