"""One routed request and its provider: the answer passes through unchanged, its ending is recorded, faults become OpenAI errors."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Final

from promptship.errors import ConfigError, Unavailable
from promptship.gateway.reading import StreamReader, is_error_body, read_completion
from promptship.gateway.record import Record
from promptship.gateway.rejection import Rejection
from promptship.gateway.upstream import Answer, Upstream
from promptship.gateway.wire import JSON, Headers, Reply

_LOG = logging.getLogger("promptship.gateway")
ANSWER_BYTES_MAX: Final = 32_000_000
_PASSED: Final = (b"content-type", b"retry-after", b"x-request-id", b"openai-", b"x-ratelimit-")
"""Beginnings of the provider's headers that the client gets."""
_MALFORMED: Final = Rejection(502, "malformed", "the provider sent something that is no chat completion")
_CUT_OFF: Final = Rejection(502, "cut_off", "the provider's answer broke off")
_TIMEOUT: Final = Rejection(504, "timeout", "the provider did not answer in time")


class Exchange:
    """Carries one request to the provider and its answer back.

    Plain answers are read whole within the deadline, so that a broken one becomes a clean 502. Streams are passed piece by
    piece; the deadline then bounds the first piece and every silence between two.
    """

    def __init__(
        self, upstream: Upstream, record: Record, reply: Reply, headers: Headers, *, timeout_s: float
    ) -> None:
        self._upstream = upstream
        self._record = record
        self._reply = reply
        self._headers = headers
        self._timeout_s = timeout_s

    async def run(self, model: str, body: bytes, *, stream: bool) -> None:
        """Ask the model; answer the client; write the observation."""
        try:
            if stream:
                await self._streamed(model, body)
            else:
                await self._plain(model, body)
        except TimeoutError:
            await self._fail(_TIMEOUT)
        except Unavailable:
            await self._fail(
                _CUT_OFF
                if self._reply.started
                else Rejection(502, "unreachable", "no answer from the provider")
            )
        except ConfigError as error:
            _LOG.error("model %s cannot be called: %s", model, error)
            await self._fail(
                Rejection(500, "provider_not_configured", "the gateway cannot call the prompt's model")
            )

    async def _plain(self, model: str, body: bytes) -> None:
        async with asyncio.timeout(self._timeout_s):
            answer = await self._upstream.open(model, body)
            content = await _whole(answer)
        await self._hand_on(answer, content)

    async def _hand_on(self, answer: Answer, content: bytes | None) -> None:
        """A whole answer: a completion, or an error."""
        headers = [*self._headers, *_passed(answer)]
        reading = read_completion(content) if content is not None and answer.status == HTTPStatus.OK else None
        if reading is not None and content is not None:
            self._record.write(200, reading=reading)
            await self._reply.whole(200, headers, content)
        elif answer.status >= HTTPStatus.BAD_REQUEST:
            self._record.write(answer.status, error_type=f"upstream_{answer.status}")
            if content is not None and is_error_body(content):
                await self._reply.whole(answer.status, headers, content)
            else:
                said = Rejection(answer.status, "upstream_error", f"the provider answered {answer.status}")
                await self._reply.reject(
                    said, [pair for pair in headers if pair[0].lower() != b"content-type"]
                )
        else:
            await self._fail(_MALFORMED)

    async def _streamed(self, model: str, body: bytes) -> None:
        async with asyncio.timeout(self._timeout_s) as deadline:
            answer = await self._upstream.open(model, body)
            if answer.status == HTTPStatus.OK:
                try:
                    await self._pass_on(answer, deadline)
                finally:
                    await answer.aclose()
                return
            content = await _whole(answer)
        await self._hand_on(answer, content)

    async def _pass_on(self, answer: Answer, deadline: asyncio.Timeout) -> None:
        if answer.content_type != "text/event-stream":
            await self._fail(_MALFORMED)
            return
        reader, now = StreamReader(), asyncio.get_running_loop().time
        async for piece in answer.chunks():
            deadline.reschedule(None)  # a slow reader is not a slow provider
            reader.feed(piece)
            if not self._reply.started:  # a provider that dies before its first byte can still become a 502
                self._record.first_byte()
                await self._reply.begin(200, [*self._headers, *_passed(answer)])
            await self._reply.piece(piece)
            deadline.reschedule(now() + self._timeout_s)
        deadline.reschedule(None)
        trouble = reader.close()
        if not self._reply.started or trouble == "cut_off":
            await self._fail(_CUT_OFF if self._reply.started else _MALFORMED)
            return
        self._record.write(200, error_type=trouble, reading=reader.reading())
        await self._reply.end()

    async def _fail(self, rejection: Rejection) -> None:
        """The error: as the answer, or as the last event of a stream that has begun (then the status was 200)."""
        _LOG.warning("request %s: %s", self._record.id, rejection.code)
        if self._reply.started:
            self._record.write(200, error_type=rejection.code)
            await self._reply.end(b"\n\ndata: " + rejection.body() + b"\n\n")
        else:
            self._record.write(rejection.status, error_type=rejection.code)
            await self._reply.whole(rejection.status, [*self._headers, JSON], rejection.body())


async def _whole(answer: Answer) -> bytes | None:
    """The body; None: larger than any completion."""
    content, size = [], 0
    try:
        async for piece in answer.chunks():
            size += len(piece)
            if size > ANSWER_BYTES_MAX:
                return None
            content.append(piece)
    finally:
        await answer.aclose()
    return content[0] if len(content) == 1 else b"".join(content)


def _passed(answer: Answer) -> list[tuple[bytes, bytes]]:
    return [pair for pair in answer.headers if pair[0].lower().startswith(_PASSED)]
