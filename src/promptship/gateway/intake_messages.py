"""Anthropic's messages -> `Call`: the prompt is named in `model`, the unit in `metadata.user_id`. Pure."""

from __future__ import annotations

from promptship.gateway.intake import (
    Call,
    Names,
    named_by_model,
    read_json,
    read_stream,
    take_variables,
    unit_of,
    wrong_messages,
)
from promptship.gateway.rejection import Rejection, bad_request


def read_message_call(body: bytes, unit_header: str = "", names: Names | None = None) -> Call | Rejection:
    """The call. `X-Unit-Id`, when given, says who is randomised; else it is `metadata.user_id`."""
    fields = read_json(body)
    if isinstance(fields, Rejection):
        return fields
    named = named_by_model(fields, names or Names())
    if isinstance(named, Rejection):
        return named
    variables = take_variables(fields)
    if isinstance(variables, Rejection):
        return variables
    messages = fields.pop("messages", None)
    wrong = wrong_messages(messages)
    if wrong is not None:
        return wrong
    if not isinstance(fields.get("system"), str | list | None):
        return bad_request("system must be a text or a list of blocks", "system")
    stream = read_stream(fields)
    if isinstance(stream, Rejection):
        return stream
    metadata = fields.get("metadata")
    if not isinstance(metadata, dict | None):
        return bad_request("metadata must be an object", "metadata")
    unit = unit_of(unit_header, metadata or {}, "user_id")
    if isinstance(unit, Rejection):
        return unit
    return Call(named[0], named[1], unit, variables, messages or [], stream, fields)
