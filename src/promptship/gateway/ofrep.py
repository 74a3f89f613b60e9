"""OpenFeature's remote evaluation (OFREP): a prompt is a flag, its value the version that serves the targeting key.

The shipped clients are stricter than the protocol: every evaluation has `key`, `value`, `reason` and `variant`, every error
`key`, `errorCode` and `errorDetails`. Without a targeting key nobody is randomised and stable serves, as everywhere here:
`TARGETING_KEY_MISSING` would leave the application without any prompt.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from promptship.client.call import claims, observation
from promptship.client.live import LiveTable
from promptship.errors import InvalidVariables, PromptshipError
from promptship.gateway.attributes import KNOWN_APPLICATION
from promptship.gateway.choose import Choice, choose
from promptship.gateway.intake import Names, read_json
from promptship.gateway.keys import forbidden, released
from promptship.gateway.news import COMMENT, News, event
from promptship.gateway.record import Spool
from promptship.gateway.rejection import Rejection
from promptship.gateway.wire import JSON, BodyLimits, Receive, Reply, Scope, header, read_body
from promptship.ports import Clock
from promptship.prompts.digest import canonical, short
from promptship.prompts.model import Prompt
from promptship.prompts.render import declared, render
from promptship.release.policy import APPLICATION, NAME_PATTERN
from promptship.routing.choice import UNIT_CHARACTERS_MAX
from promptship.routing.eligibility import Attributes, Decision
from promptship.routing.observation import Observation
from promptship.routing.request_id import uuid7
from promptship.routing.token import sign

FLAGS: Final = "/ofrep/v1/evaluate/flags"
EVENTS: Final = "/ofrep/v1/events"
_LIMITS: Final = BodyLimits(1_000_000, 10.0)
_NAME: Final = re.compile(NAME_PATTERN)
_INACTIVITY_S: Final = 120
_INVALID: Final = "INVALID_CONTEXT"
_QUIET_TURNS: Final = 15
"""Turns (of about a second) after which a quiet stream says that it lives."""


@dataclass(frozen=True, slots=True)
class _Context:
    """Who asks, and what may decide about it. Whatever else a context holds is nobody's business here."""

    unit: str
    variables: Mapping[str, Any] | None
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class _Wrong:
    """An evaluation that failed, in OFREP's words."""

    status: int
    code: str
    details: str

    def body(self, key: str) -> bytes:
        return orjson.dumps({"key": key, "errorCode": self.code, "errorDetails": self.details})


@dataclass(frozen=True, slots=True)
class _Evaluated:
    choice: Choice
    prompt: Prompt


@dataclass(frozen=True, kw_only=True)
class Ofrep:
    """Evaluates prompts for OpenFeature's clients."""

    live: LiveTable
    news: News
    names: Names
    secret: bytes
    clock: Clock
    spool: Spool

    async def evaluate(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        """One flag, or all of them."""
        key = scope["path"][len(FLAGS) :].removeprefix("/")
        body = await read_body(scope, receive, _LIMITS)
        if body is None:
            return
        context = _context(body, scope.get(KNOWN_APPLICATION, ""))
        if isinstance(context, _Wrong):
            await reply.whole(context.status, [JSON], context.body(key))
        elif self.live.table is None:
            said = orjson.dumps({"errorDetails": "this gateway has not heard from its control plane yet"})
            await reply.whole(503, [JSON, (b"retry-after", b"1")], said)
        elif not key:
            await self._bulk(scope, context, reply)
        else:
            flag = self._single(key, context, scope)
            if isinstance(flag, _Wrong):
                await reply.whole(flag.status, [JSON], flag.body(key))
            else:
                await reply.whole(200, [JSON], orjson.dumps(flag))

    async def events(self, _scope: Scope, receive: Receive, reply: Reply) -> None:
        """A notice whenever evaluations may have changed: a route, or a canary whose lease came or went."""
        await self.news.stream(receive, reply, _Noticed(self.live, self.clock).pieces)

    async def _bulk(self, scope: Scope, context: _Context, reply: Reply) -> None:
        table = self.live.table
        names = released(scope, table)
        evaluated = [self._evaluated(name, "", context) for name in names]
        flags = [
            _flag(one, name)
            for name, one in zip(names, evaluated, strict=True)
            if not isinstance(one, _Wrong)
        ]
        answer: dict[str, Any] = {
            "flags": flags,
            "metadata": {"revision": str(table.revision if table else 0)},
        }
        etag = f'"{hashlib.sha256(orjson.dumps(answer)).hexdigest()[:32]}"'
        headers = [(b"etag", etag.encode()), (b"cache-control", b"no-cache")]
        asked = header(scope, b"if-none-match").split(",")
        if etag in {one.strip().removeprefix("W/") for one in asked}:
            await reply.begin(304, headers)
            await reply.end()
            return
        if host := header(scope, b"host"):
            endpoint = {"origin": f"{scope.get('scheme', 'http')}://{host}", "requestUri": EVENTS}
            stream = {"type": "sse", "endpoint": endpoint, "inactivityDelaySec": _INACTIVITY_S}
            answer["eventStreams"] = [stream]
        await reply.whole(200, [JSON, *headers], orjson.dumps(answer))

    def _single(self, key: str, context: _Context, scope: Scope) -> dict[str, Any] | _Wrong:
        name, at, pin = key.partition("@")
        named = self.names.resolve(name, pin, "key")
        if isinstance(named, Rejection) or (at and not pin):
            return _Wrong(404, "FLAG_NOT_FOUND", f"{key[:120]!r} is no name of a prompt, nor prompt@version")
        refusal = forbidden(scope, named[0])
        if refusal is not None:
            return _Wrong(refusal.status, "GENERAL", refusal.message)
        evaluated = self._evaluated(*named, context)
        if isinstance(evaluated, _Wrong):
            return evaluated
        at_ms = int(self.clock.now().timestamp() * 1000)
        request, choice = uuid7(at_ms), evaluated.choice
        flag = _flag(evaluated, key)
        if context.variables is not None:
            taken: Mapping[str, Any] = context.variables
            if choice.decision is Decision.KILLED:  # the safe version takes what it knows
                taken = declared(evaluated.prompt, taken)
            rendered = _rendered(evaluated.prompt, taken)
            if isinstance(rendered, _Wrong):
                self._report(choice, context.variables, rendered, request, at_ms)
                return rendered
            flag["value"] = _value(choice, rendered, is_rendered=True)
        token = sign(self.secret, claims(choice, request, at_ms))
        flag["metadata"] |= {"requestId": request, "feedbackToken": token}
        return flag

    def _evaluated(self, name: str, pin: str, context: _Context) -> _Evaluated | _Wrong:
        known = self.live.known
        choice = choose(
            known.route(name), prompt=name, pin=pin, unit=context.unit, leased=self.live.leased(name),
            attributes=context.attributes,
        )  # fmt: skip
        if isinstance(choice, Rejection):
            return _Wrong(404, "FLAG_NOT_FOUND", choice.message)
        ready = known.ready(choice.prompt, choice.version)
        if isinstance(ready, PromptshipError):
            return _Wrong(500, "GENERAL", str(ready))
        return _Evaluated(choice, ready)

    def _report(
        self, choice: Choice, variables: Mapping[str, Any], wrong: _Wrong, request: str, at_ms: int
    ) -> None:
        """As for a request: what both arms refuse is the caller's mistake, else the canary must see it."""
        kind = "prompt_not_rendered"
        if wrong.code == _INVALID:
            other = self.live.ready(choice.prompt, choice.other) if choice.other else None
            if not isinstance(other, Prompt) or isinstance(_rendered(other, variables), _Wrong):
                return
            kind = "invalid_prompt_variables"
        self.spool.write(
            Observation(
                **observation(
                    choice,
                    id=request,
                    at_ms=at_ms,
                    model="",
                    latency_ms=0.0,
                    status=wrong.status,
                    error_type=kind,
                )
            ).model_dump()
        )


class _Noticed:
    """What one stream of notices knows to be said already."""

    def __init__(self, live: LiveTable, clock: Clock) -> None:
        self._live = live
        self._clock = clock
        self._said: tuple[object, ...] | None = None
        self._turns = 0

    def pieces(self) -> bytes:
        table = self._live.table
        if table is None:
            return COMMENT
        leased = tuple(
            name for name, route in table.routes.items() if route.split and self._live.leased(name)
        )
        now = (table.revision, *leased)
        if self._said is None or now == self._said:
            first, self._said = self._said is None, now
            self._turns += 1
            return COMMENT if first or self._turns % _QUIET_TURNS == 0 else b""
        self._said = now
        seconds = int(self._clock.now().timestamp())
        # The ETag is each context's own: whoever fetches anew learns his.
        return event(orjson.dumps({"type": "refetchEvaluation", "lastModified": seconds}))


def _context(body: bytes | Rejection, application: str) -> _Context | _Wrong:
    fields = body if isinstance(body, Rejection) else read_json(body or b"{}")
    if isinstance(fields, Rejection):
        return _Wrong(fields.status, "PARSE_ERROR", fields.message)
    context = fields.get("context") or {}
    if not isinstance(context, dict):
        return _Wrong(400, _INVALID, "context is an object")
    unit = context.get("targetingKey")
    if not isinstance(unit, str | None) or len(unit or "") > UNIT_CHARACTERS_MAX:
        return _Wrong(400, _INVALID, f"targetingKey is a text of at most {UNIT_CHARACTERS_MAX} characters")
    variables = context.get("variables")
    if not isinstance(variables, dict | None):
        return _Wrong(400, _INVALID, "variables is an object of name to value")
    attributes = {
        name: value
        for name, value in context.items()
        if _NAME.fullmatch(name) and isinstance(value, str | bool | int | float)
    }
    if application:
        attributes[APPLICATION] = application
    return _Context(unit or "", variables, attributes)


def _flag(evaluated: _Evaluated, key: str) -> dict[str, Any]:
    choice = evaluated.choice
    metadata: dict[str, Any] = {"prompt": choice.prompt, "version": choice.version, "arm": choice.arm}
    if choice.release is not None:
        metadata["release"] = choice.release
    if choice.variant:
        metadata["armName"] = choice.variant
    if choice.disclosure:
        metadata["disclosure"] = choice.disclosure
    return {
        "key": key,
        "value": _value(choice, canonical(evaluated.prompt), is_rendered=False),
        "reason": "STATIC" if choice.release is None else "SPLIT",
        "variant": short(choice.version),
        "metadata": metadata,
    }


def _value(choice: Choice, content: Mapping[str, Any], *, is_rendered: bool) -> dict[str, Any]:
    return {"prompt": choice.prompt, "version": choice.version, "rendered": is_rendered, **content}


def _rendered(prompt: Prompt, variables: Mapping[str, Any]) -> dict[str, Any] | _Wrong:
    """Messages, model, parameters, tools and response format, in the words of chat completions; absent ones left out."""
    try:
        made = render(prompt, variables)
    except InvalidVariables as error:
        return _Wrong(400, _INVALID, str(error))
    except PromptshipError:
        return _Wrong(500, "GENERAL", f"the prompt {prompt.name!r} cannot be rendered with these variables")
    fields = {
        "messages": made.messages, "model": made.model, "parameters": made.parameters, "tools": made.tools,
        "response_format": made.response_format,
    }  # fmt: skip
    return {name: value for name, value in fields.items() if value}
