"""POST /v1/feedback: what somebody says about an answer, keyed by the signed token that came with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from promptship.errors import Refused
from promptship.gateway.intake import read_json
from promptship.gateway.record import Spool
from promptship.gateway.rejection import Rejection, bad_request
from promptship.gateway.wire import JSON, BodyLimits, Receive, Reply, Scope, read_body
from promptship.ports import Clock
from promptship.routing.observation import Feedback
from promptship.routing.request_id import uuid7
from promptship.routing.token import read

KIND: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LIMITS: Final = BodyLimits(16_384, 10.0)


@dataclass(frozen=True, kw_only=True)
class Feedbacks:
    """Takes feedback. The same request and kind again replaces the earlier value when it is counted."""

    spool: Spool
    secret: bytes
    clock: Clock

    async def __call__(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        """202 once the line is written; 401 for a token that is not ours; 503 if it could not be written."""
        body = await read_body(scope, receive, _LIMITS)
        if body is None:
            return
        line = body if isinstance(body, Rejection) else self._line(body)
        if isinstance(line, Rejection):
            await reply.reject(line)
        elif self.spool.write(line):
            await reply.whole(202, [JSON], b'{"id":"%s"}' % line.id.encode())
        else:
            await reply.reject(
                Rejection(503, "not_written", "the feedback could not be written; send it again later")
            )

    def _line(self, body: bytes) -> Feedback | Rejection:
        fields = read_json(body)
        if isinstance(fields, Rejection):
            return fields
        unknown = sorted(set(fields) - {"token", "kind", "value"})
        if unknown:
            return bad_request(f"{unknown[0]!r} is not a field of feedback: token, kind, value", unknown[0])
        token, kind, value = fields.get("token"), fields.get("kind"), fields.get("value", True)
        if not isinstance(token, str):
            return bad_request("token is the answer's x-promptship-feedback-token", "token")
        if not isinstance(kind, str) or not KIND.fullmatch(kind):
            return bad_request(
                "kind is a lower-case word of at most 40 characters: thumbs_down, escalated, ...", "kind"
            )
        if not isinstance(value, bool):
            return bad_request("value is true or false", "value")
        try:
            claims = read(self.secret, token)
        except Refused as error:
            return Rejection(401, "invalid_feedback_token", str(error), "token")
        at_ms = int(self.clock.now().timestamp() * 1000)
        return Feedback(id=uuid7(at_ms), at_ms=at_ms, kind=kind, value=value, **claims._asdict())
