"""One routed request and its provider: the answer passes through unchanged, its ending is recorded, faults become errors of the API."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from promptship.errors import ConfigError, Unavailable
from promptship.gateway.admission import Ticket
from promptship.gateway.hiding import UsageHider
from promptship.gateway.reading import Reading, StreamReader, is_error_body
from promptship.gateway.record import Record
from promptship.gateway.rejection import Rejection
from promptship.gateway.upstream import Answer, Upstream
from promptship.gateway.wire import Headers, Reply
from promptship.routing.api import Api

_LOG = logging.getLogger("promptship.gateway")
ANSWER_BYTES_MAX: Final = 32_000_000
_PASSED: Final = (
    b"content-type", b"retry-after", b"x-request-id", b"request-id", b"openai-", b"x-ratelimit-", b"anthropic-ratelimit-"
)  # fmt: skip
"""Beginnings of the provider's headers that the client gets."""
_MALFORMED: Final = Rejection(502, "malformed", "the provider sent something that is no answer of this API")
_CUT_OFF: Final = Rejection(502, "cut_off", "the provider's answer broke off")
_TIMEOUT: Final = Rejection(504, "timeout", "the provider did not answer in time")


@dataclass(frozen=True, slots=True)
class Question:
    """What the provider is asked."""

    api: Api
    model: str
    body: bytes
    stream: bool
    headers: tuple[tuple[str, str], ...] = ()
    """Of the client's, those that the provider gets."""
    hides_usage: bool = False
    """The client did not ask for the usage of its stream."""


class Exchange:
    """Carries one request to the provider and its answer back.

    Plain answers are read whole within the deadline, so that a broken one becomes a clean 502. Streams are passed piece by
    piece; the deadline then bounds the first piece, every silence between two, and a client that does not take them.
    """

    def __init__(
        self,
        upstream: Upstream,
        record: Record | None,
        reply: Reply,
        headers: Headers,
        *,
        whole: Callable[[bytes], Reading | None],
        reader: Callable[[], StreamReader],
        ticket: Ticket,
        timeout_s: float,
    ) -> None:
        self._upstream = upstream
        self._record = record
        self._reply = reply
        self._headers = headers
        self._read = whole
        self._reader = reader
        self._ticket = ticket
        self._timeout_s = timeout_s
        self._is_sending = False

    async def run(self, question: Question) -> None:
        """Ask the model; answer the client; write the observation."""
        try:
            if question.stream:
                await self._streamed(question)
            else:
                await self._plain(question)
        except TimeoutError:
            if self._is_sending:  # the client stopped reading: as good as gone
                self._write(499)
            else:
                await self._fail(_TIMEOUT)
        except Unavailable:
            await self._fail(
                _CUT_OFF
                if self._reply.started
                else Rejection(502, "unreachable", "no answer from the provider")
            )
        except ConfigError as error:
            _LOG.error("model %s cannot be called: %s", question.model, error)
            await self._fail(
                Rejection(
                    500,
                    "provider_not_configured",
                    "the prompt's model has no provider that can be called; the log of the gateway says why",
                )
            )

    async def _open(self, question: Question) -> Answer:
        return await self._upstream.open(question.model, question.body, question.api, question.headers)

    async def _plain(self, question: Question) -> None:
        async with asyncio.timeout(self._timeout_s):
            answer = await self._open(question)
            content = await self._whole(answer)
        await self._hand_on(question, answer, content)

    async def _hand_on(self, question: Question, answer: Answer, content: bytes | None) -> None:
        """A whole answer: what was asked for, or an error."""
        headers = [*self._headers, *_passed(answer)]
        reading = self._read(content) if content is not None and answer.status == HTTPStatus.OK else None
        if reading is not None and content is not None:
            self._write(200, error_type=reading.trouble, reading=reading)
            await self._reply.whole(200, headers, content)
            if not reading.trouble:
                self._sample(question, content)
        elif answer.status >= HTTPStatus.BAD_REQUEST:
            self._write(answer.status, error_type=f"upstream_{answer.status}")
            if content is not None and is_error_body(content):
                await self._reply.whole(answer.status, headers, content)
            else:
                said = Rejection(answer.status, "upstream_error", f"the provider answered {answer.status}")
                await self._reply.reject(
                    said, [pair for pair in headers if pair[0].lower() != b"content-type"]
                )
        else:
            await self._fail(_MALFORMED)

    async def _streamed(self, question: Question) -> None:
        async with asyncio.timeout(self._timeout_s) as deadline:
            answer = await self._open(question)
            if answer.status == HTTPStatus.OK:
                try:
                    await self._pass_on(question, answer, deadline)
                finally:
                    await answer.aclose()
                return
            content = await self._whole(answer)
        await self._hand_on(question, answer, content)

    async def _pass_on(self, question: Question, answer: Answer, deadline: asyncio.Timeout) -> None:
        if answer.content_type != "text/event-stream":
            await self._fail(_MALFORMED)
            return
        reader, now = self._reader(), asyncio.get_running_loop().time
        tap = None if self._record is None else self._record.tap
        hider = UsageHider() if question.hides_usage else None
        async for piece in answer.chunks():
            reader.feed(piece)
            if reader.spoke and self._record is not None:
                self._record.first_token()
            if tap is not None:
                self._ticket.add(tap.piece(piece))
            self._is_sending = True
            deadline.reschedule(now() + self._timeout_s)  # a slow reader is not a slow provider
            if not self._reply.started:  # a provider that dies before its first byte can still become a 502
                await self._reply.begin(200, [*self._headers, *_passed(answer)])
            if shown := piece if hider is None else hider.feed(piece):
                await self._reply.piece(shown)
            self._is_sending = False
            deadline.reschedule(now() + self._timeout_s)
        deadline.reschedule(None)
        trouble = reader.close()
        if self._reply.started and hider is not None and (shown := hider.close()):
            await self._reply.piece(shown)
        if not self._reply.started or trouble == "cut_off":
            await self._fail(_CUT_OFF if self._reply.started else _MALFORMED)
            return
        self._write(200, error_type=trouble, reading=reader.reading())
        await self._reply.end()
        if not trouble:
            self._sample(question)

    async def _fail(self, rejection: Rejection) -> None:
        """The error: as the answer, or as the last event of a stream that has begun (then the status was 200)."""
        _LOG.warning("request %s: %s", self._record.id if self._record else "-", rejection.code)
        if self._reply.started:
            self._write(200, error_type=rejection.code)
            await self._reply.end(rejection.event(self._reply.api))
        else:
            self._write(rejection.status, error_type=rejection.code)
            await self._reply.reject(rejection, self._headers)

    def _sample(self, question: Question, content: bytes | None = None) -> None:
        """Hand a whole answer on to be scored, if it was drawn. The client has it by now."""
        if self._record is not None and self._record.tap is not None:
            self._record.tap.ended(question.body, self._record.latency_ms, content)

    def _write(self, status: int, *, error_type: str = "", reading: Reading | None = None) -> None:
        if self._record is not None:
            self._record.write(status, error_type=error_type, reading=reading)

    async def _whole(self, answer: Answer) -> bytes | None:
        """The body; None: larger than any answer."""
        content, size = [], 0
        try:
            async for piece in answer.chunks():
                size += len(piece)
                if size > ANSWER_BYTES_MAX:
                    return None
                self._ticket.add(len(piece))
                content.append(piece)
        finally:
            await answer.aclose()
        return content[0] if len(content) == 1 else b"".join(content)


def _passed(answer: Answer) -> list[tuple[bytes, bytes]]:
    return [pair for pair in answer.headers if pair[0].lower().startswith(_PASSED)]
