"""POST /v1/embeddings: passed through to the model that is named. No prompt, so no experiment and no observation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from promptship.gateway.admission import Ticket
from promptship.gateway.attention import Attention
from promptship.gateway.exchange import Exchange, Question
from promptship.gateway.intake import SCHEMES, read_json
from promptship.gateway.reading import ODD, Reading
from promptship.gateway.reading_chat import ChatReader
from promptship.gateway.rejection import Rejection, bad_request, unknown_model
from promptship.gateway.serving import Around
from promptship.gateway.wire import Receive, Reply, Scope, admit
from promptship.routing.request_id import uuid7


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """Serves embeddings of any model that a provider is configured for."""

    around: Around

    async def __call__(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        """Answer one request."""
        at_ms = int(self.around.clock.now().timestamp() * 1000)
        headers = [(b"x-promptship-request-id", uuid7(at_ms).encode())]

        async def handle(body: bytes, ticket: Ticket) -> None:
            question = _question(body)
            if isinstance(question, Rejection):
                await reply.reject(question, headers)
                return
            exchange = Exchange(
                self.around.upstream,
                None,
                reply,
                headers,
                whole=_read,
                reader=ChatReader,
                ticket=ticket,
                timeout_s=self.around.timeout_s,
            )
            async with Attention(receive):
                await exchange.run(question)

        around = self.around
        await admit(around.admission, around.limits, (scope, receive, reply), headers, handle)


def _question(body: bytes) -> Question | Rejection:
    fields = read_json(body)
    if isinstance(fields, Rejection):
        return fields
    model: Any = fields.get("model")
    if not isinstance(model, str) or not model:
        return bad_request("model is missing", "model", code="missing_required_parameter")
    if model.startswith(SCHEMES):
        return unknown_model("embeddings have no prompt: name the provider's own model")
    return Question("embeddings", model, body, stream=False)


def _read(content: bytes) -> Reading | None:
    try:
        return Reading() if isinstance(orjson.loads(content)["data"], list) else None
    except ODD:
        return None
