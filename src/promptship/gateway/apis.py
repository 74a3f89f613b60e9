"""The APIs by which prompts are served: how each is read, composed and observed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from promptship.gateway.compose import body, message_body, response_body
from promptship.gateway.intake import Call, Names, read_call
from promptship.gateway.intake_messages import read_message_call
from promptship.gateway.intake_responses import read_response_call
from promptship.gateway.reading import Reading, StreamReader
from promptship.gateway.reading_chat import ChatReader, read_completion
from promptship.gateway.reading_messages import MessageReader, read_message
from promptship.gateway.reading_responses import ResponseReader, read_response
from promptship.gateway.rejection import Rejection
from promptship.prompts.render import Rendered
from promptship.routing.api import Api


@dataclass(frozen=True, slots=True)
class Words:
    """One API. All functions are pure."""

    api: Api
    read: Callable[[bytes, str, Names], Call | Rejection]
    """(body, X-Unit-Id, names) -> call."""
    compose: Callable[[Rendered, Call], bytes | Rejection]
    whole: Callable[[bytes], Reading | None]
    """A whole answer; None: it is none."""
    reader: Callable[[], StreamReader]
    passed: tuple[bytes, ...] = ()
    """Headers of the request that the provider gets."""


CHAT: Final = Words("chat", read_call, body, read_completion, ChatReader, (b"openai-beta",))
RESPONSES: Final = Words(
    "responses", read_response_call, response_body, read_response, ResponseReader, (b"openai-beta",)
)
MESSAGES: Final = Words(
    "messages",
    read_message_call,
    message_body,
    read_message,
    MessageReader,
    (b"anthropic-beta", b"anthropic-version"),
)
