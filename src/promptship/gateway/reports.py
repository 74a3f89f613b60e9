"""POST /v1/observations: what applications that call models by themselves say about it, a batch at a time.

A report of the client library names its request and where it was routed; the application's key vouches for it. One of any
other application carries the signed token of its evaluation instead. What arrives twice counts once: ids are the reporter's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from promptship.adapters.telemetry.validity import BOUNDS, WORD_CHARACTERS_MAX, WORDS
from promptship.errors import Refused
from promptship.gateway.feedback import KIND
from promptship.gateway.intake import read_json
from promptship.gateway.keys import allowed
from promptship.gateway.record import Spool
from promptship.gateway.rejection import Rejection, bad_request
from promptship.gateway.upstream import Costs
from promptship.gateway.wire import JSON, BodyLimits, Receive, Reply, Scope, read_body
from promptship.ports import Clock
from promptship.routing.eligibility import Decision
from promptship.routing.observation import Feedback, Observation
from promptship.routing.request_id import uuid7
from promptship.routing.token import read

PATH: Final = "/v1/observations"
REPORTS_MAX: Final = 1_000
AGE_MS_MAX: Final = 23 * 3_600_000
"""Ids are remembered for a day; an older report could be counted twice."""
AHEAD_MS_MAX: Final = 300_000
_LIMITS: Final = BodyLimits(2_000_000, 10.0)
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_UNIT: Final = re.compile(r"[0-9a-f]{16}")
_ERROR: Final = re.compile(r"[A-Za-z0-9._-]{0,40}")
_WORD: Final = re.compile(rf"[!-~]{{1,{WORD_CHARACTERS_MAX}}}")
_MODEL: Final = re.compile(rf"[!-~]{{0,{WORD_CHARACTERS_MAX}}}")
_FORMS: Final[Mapping[str, re.Pattern[str]]] = {
    "id": _ID, "request": _ID, "version": _DIGEST, "unit": _UNIT, "error_type": _ERROR, "model": _MODEL, "kind": KIND,
    "decision": re.compile("|".join(Decision)),
}  # fmt: skip


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")

    observations: list[Any] = []
    feedback: list[Any] = []


@dataclass(frozen=True, kw_only=True)
class Reports:
    """Takes reports."""

    spool: Spool
    secret: bytes
    clock: Clock
    costs: Costs | None

    async def __call__(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        """202 with how many were taken and which were refused, and why; 503 if some could not be written: send all again."""
        body = await read_body(scope, receive, _LIMITS)
        if body is None:
            return
        shape = body if isinstance(body, Rejection) else _shape(body)
        if isinstance(shape, Rejection):
            await reply.reject(shape)
            return
        refused: list[dict[str, str]] = []
        prompts = allowed(scope)
        lines = [
            *self._read("observations", shape.observations, self.observation, refused, prompts),
            *self._read("feedback", shape.feedback, self._feedback, refused, prompts),
        ]
        written = [self.spool.write(line) for line in lines]
        if not all(written):
            await reply.reject(
                Rejection(
                    503, "not_written", "not every report could be written; send all of them again later"
                )
            )
            return
        await reply.whole(202, [JSON], orjson.dumps({"taken": len(lines), "refused": refused}))

    def _read(
        self,
        stream: str,
        items: Sequence[Any],
        line_of: Callable[[Mapping[str, Any], int], Mapping[str, Any] | Feedback],
        refused: list[dict[str, str]],
        prompts: frozenset[str] | None,
    ) -> list[Mapping[str, Any] | Feedback]:
        now_ms = int(self.clock.now().timestamp() * 1000)
        lines = []
        for index, item in enumerate(items):
            try:
                line = line_of(_object(item), now_ms)
                named = line.prompt if isinstance(line, Feedback) else line["prompt"]
                if prompts is not None and named not in prompts:
                    raise Refused("this application's key is not for the prompt")  # noqa: TRY301
                lines.append(line)
            except Refused as error:
                refused.append({"at": f"{stream}[{index}]", "why": str(error)})
            except ValidationError as error:
                refused.append({"at": f"{stream}[{index}]", "why": _why(error)})
        return lines

    def observation(self, item: Mapping[str, Any], now_ms: int) -> Mapping[str, Any]:
        """The line of one report. Raises Refused or ValidationError; no message quotes a value."""
        fields = dict(item)
        token = fields.pop("token", None)
        if token is not None:
            claims = read(self.secret, _text(token))
            fields |= claims._asdict()
            fields |= {"id": fields.pop("request"), "at_ms": fields.pop("request_at_ms")}
        fields.setdefault("error", bool(fields.get("error_type")))
        fields.setdefault("decision", Decision.NONE if fields.get("release") is None else Decision.IN)
        line = Observation.model_validate(fields, strict=True).model_dump()
        _check(line, "at_ms", now_ms)
        if line["cost_usd"] is None and self.costs is not None and line["model"]:
            line["cost_usd"] = self.costs(line["model"], line["tokens_in"], line["tokens_out"])
        return line

    def _feedback(self, item: Mapping[str, Any], now_ms: int) -> Feedback:
        fields = dict(item)
        token = fields.pop("token", None)
        if token is not None:
            fields |= read(self.secret, _text(token))._asdict()
        fields.setdefault("id", uuid7(now_ms))
        fields.setdefault("at_ms", now_ms)
        line = Feedback.model_validate(fields, strict=True)
        _check(line.model_dump(), "at_ms", now_ms)
        return line


def _shape(body: bytes) -> _Shape | Rejection:
    fields = read_json(body)
    if isinstance(fields, Rejection):
        return fields
    try:
        shape = _Shape.model_validate(fields, strict=True)
    except ValidationError as error:
        return bad_request(f"{_why(error)}; expected lists `observations` and `feedback`")
    if len(shape.observations) + len(shape.feedback) > REPORTS_MAX:
        return Rejection(413, "request_too_large", f"more than {REPORTS_MAX:,} reports at once")
    return shape


def _check(line: Mapping[str, Any], moment: str, now_ms: int) -> None:
    """What the types do not say. No value is repeated: it may hold anything."""
    for name, value in line.items():
        form = _FORMS.get(name) or (_WORD if name in WORDS else None)
        if form is not None and value is not None and not form.fullmatch(value):
            raise Refused(f"{name} does not have the form it must have")
        low, high = BOUNDS.get(name, (None, None))
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if low is not None and high is not None and is_number and not low <= value <= high:
            raise Refused(f"{name} is out of range")
    if (line["release"] is None) != (line["stage"] is None):
        raise Refused("release and stage belong together")
    if not -AHEAD_MS_MAX <= now_ms - line[moment] <= AGE_MS_MAX:
        raise Refused(
            f"{moment} is more than 23 hours ago, or more than 5 minutes ahead of the gateway's clock"
        )


def _object(item: object) -> Mapping[str, Any]:
    if not isinstance(item, dict):
        raise Refused("a report is an object")
    return item


def _text(token: object) -> str:
    if not isinstance(token, str):
        raise Refused("token is a text")
    return token


def _why(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"]))
    # An unknown key may hold anything, also somebody's text.
    return "an unknown field" if first["type"] == "extra_forbidden" else f"{place}: {first['msg']}"
