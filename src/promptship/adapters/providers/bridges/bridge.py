"""A call of an API that the provider does not offer, on its way there and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import orjson

from promptship.adapters.providers.bridges import messages_asked, responses_asked
from promptship.adapters.providers.bridges.messages_stream import MessageStream
from promptship.adapters.providers.bridges.messages_told import error_body, message
from promptship.adapters.providers.bridges.responses_stream import ResponseStream
from promptship.adapters.providers.bridges.responses_told import response
from promptship.adapters.providers.events import ODD, Events
from promptship.adapters.providers.untranslatable import Untranslatable
from promptship.routing.api import Api

BRIDGED: Final[frozenset[Api]] = frozenset({"responses", "messages"})
"""What reaches every provider through chat completions."""
RENAMED: Final[Mapping[Api, Mapping[str, str]]] = {
    "responses": {
        "reasoning_effort": "reasoning.effort", "response_format": "text.format", "verbosity": "text.verbosity",
        "messages": "input", "max_completion_tokens": "max_output_tokens",
    },
    "messages": {
        "reasoning_effort": "output_config.effort", "response_format": "output_config.format",
        "max_completion_tokens": "max_tokens", "stop": "stop_sequences", "user": "metadata.user_id",
    },
}  # fmt: skip
"""Fields of chat completions as these APIs call them, for errors."""


@dataclass(frozen=True, slots=True)
class Bridge:
    """One call of such an API."""

    api: Api
    asked: dict[str, Any]

    def chat(self) -> dict[str, Any]:
        """The request of a chat completion. Raises Untranslatable."""
        making = responses_asked.chat_of if self.api == "responses" else messages_asked.chat_of
        try:
            return making(self.asked)
        except ODD:
            raise Untranslatable("", f"the request is not in the form of {self.api}") from None

    def whole(self, status: int, content: bytes) -> bytes:
        """A whole answer or error; what cannot be read stays as it is."""
        try:
            value = orjson.loads(content)
            if status >= HTTPStatus.BAD_REQUEST:
                return error_body(status, value["error"]) if self.api == "messages" else content
            return orjson.dumps(response(value, self.asked) if self.api == "responses" else message(value))
        except ODD:
            return content

    def stream(self) -> Events:
        """What translates a stream."""
        return ResponseStream(self.asked) if self.api == "responses" else MessageStream()
