"""Anthropic's messages -> `Call`: the prompt is named in `model`, the unit in `metadata.user_id`. Pure."""

from __future__ import annotations

from promptship.gateway.intake import Call, Names, read_asked, read_stream, unit_of
from promptship.gateway.rejection import Rejection, bad_request


def read_message_call(body: bytes, unit_header: str = "", names: Names | None = None) -> Call | Rejection:
    """The call. `X-Unit-Id`, when given, says who is randomised; else it is `metadata.user_id`."""
    asked = read_asked(body, names or Names())
    if isinstance(asked, Rejection):
        return asked
    fields = asked.fields
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
    return Call(asked.prompt, asked.pin, unit, asked.variables, asked.messages, stream, fields)
