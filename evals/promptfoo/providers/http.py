"""The `http` provider: any service that answers over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from promptship.adapters.providers.answers import failure, json_of
from promptship.adapters.providers.dialects import HttpCall
from promptship.adapters.providers.dialects.limits import limits_of
from promptship.adapters.providers.wire import WireAnswer
from promptship.chat import ChatAnswer
from promptship.errors import ConfigError, Unavailable
from promptship.evals.promptfoo.calling import split_function
from promptship.evals.promptfoo.model import CallContext, ProviderSpec
from promptship.evals.promptfoo.nunjucks import Nunjucks, TemplateError
from promptship.evals.promptfoo.providers.base import (
    Caller,
    Tools,
    digest_of,
    endpoint_of,
    merged,
    rendered,
    target_for,
    wrong,
)
from promptship.evals.promptfoo.providers.expressions import Missing, evaluate
from promptship.evals.promptfoo.providers.http_auth import Tokens
from promptship.evals.promptfoo.providers.http_request import Malformed, planned, request_of, with_auth
from promptship.evals.promptfoo.providers.own_answers import own_answer
from promptship.evals.services import ScriptFailed, Scripts
from promptship.evals.units import Asking

_UNSUPPORTED: Final = {
    "signatureAuth": "signatures over requests",
    "tls": "client certificates",
    "multipart": "multipart bodies",
}
_READING: Final = ("transformResponse", "responseParser", "validateStatus", "sessionParser")
"""What decides about the answer besides what is sent."""
_REFUSED: Final = frozenset({401})
_CLIENT_ERROR: Final = 400
_ERROR: Final = 500
_TOO_MANY: Final = 429


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProvider:
    """`http`, `https`, `http://…`, `https://…`."""

    spec: ProviderSpec
    id: str
    tools: Tools
    raw: str | None = None
    """Text of `request`."""
    tokens: Tokens = field(default_factory=Tokens)
    sessions: dict[str, str] = field(default_factory=dict)
    """Session by conversation."""

    @property
    def label(self) -> str:
        """Label, or id."""
        return self.spec.label or self.id

    @property
    def config(self) -> Mapping[str, Any]:
        """As configured."""
        return self.spec.config

    @property
    def renderer(self) -> Nunjucks:
        """Of the run."""
        return self.tools.renderer

    async def call(self, prompt: str, context: CallContext, asking: Asking, scripts: Scripts) -> ChatAnswer:
        """See `Provider`."""
        config = merged(self.spec, context)
        try:
            plan = planned(self.spec.id, config, self.raw)
            variables = {**context.vars, "prompt": prompt}
            variables |= await self._session(config, variables, context, asking, scripts)
            asked = await self._asked(config, prompt, context, scripts)
            merge = asked if isinstance(asked, Mapping) else None
            call = request_of(
                plan,
                {**variables, "prompt": prompt if merge is not None else asked},
                self.renderer,
                merge=merge,
            )
            key = self._key(call, config, context)
            call = await self._with_auth(call, config, context)
        except (Malformed, TemplateError) as error:
            raise wrong(self.spec, "config", "no request", str(error)) from None
        caller = self._caller(call)

        async def once() -> ChatAnswer:
            came = await caller.send(call)
            await self._accept(caller, came, config, scripts)
            return await self._read(came, config, scripts)

        answer = await asking.answer(endpoint_of(self.spec, call.url), once, key=key)
        self._remember(answer, context)
        return answer

    def _key(self, call: HttpCall, config: Mapping[str, Any], context: CallContext) -> str:
        """Content address of a call before a token is fetched for it, and of the code that reads the answer.

        Keys are part of it: whoever asks a service with the key of another user gets another answer.
        """
        auth = rendered(dict(config.get("auth") or {}), context.vars, self.renderer)
        reading = [config.get(name) for name in _READING]
        files = [self._content(one) for one in reading if isinstance(one, str) and one.startswith("file://")]
        return digest_of(
            self.spec.id, call.url, call.method, call.headers, context.trial, call.body, auth, reading, *files
        )

    def _content(self, reference: str) -> bytes:
        try:
            return (self.spec.base / split_function(reference)[0]).read_bytes()
        except OSError:
            return b""  # who runs it says so

    def _caller(self, call: HttpCall) -> Caller:
        try:
            target = target_for(self.spec, self.tools, call.url)
        except ConfigError:
            raise wrong(
                self.spec, "config.url", repr(call.url)[:200], "expected an http or https address"
            ) from None
        return Caller(spec=self.spec, tools=self.tools, target=target)

    async def _asked(
        self, config: Mapping[str, Any], prompt: str, context: CallContext, scripts: Scripts
    ) -> Any:
        code = config.get("transformRequest") or config.get("requestTransform")
        if not code:
            return prompt
        names = {
            "prompt": prompt,
            "vars": {**context.vars, "prompt": prompt},
            "context": {"vars": dict(context.vars)},
        }
        asked = await self._evaluated(
            "transformRequest", str(code), names, ("prompt", "vars", "context"), scripts
        )
        if not isinstance(asked, str | Mapping | list):
            raise wrong(
                self.spec,
                "config.transformRequest",
                "neither text nor an object",
                "expected what shall be sent",
            )
        return asked

    async def _session(
        self,
        config: Mapping[str, Any],
        variables: Mapping[str, Any],
        context: CallContext,
        asking: Asking,
        scripts: Scripts,
    ) -> dict[str, str]:
        """`sessionId` for templates: of the conversation, or of a session that is opened now, or an earlier answer's."""
        topic = str(context.test.get("metadata", {}).get("conversationId") or "") if context.test else ""
        if topic and topic in self.sessions:
            return {"sessionId": self.sessions[topic]}
        opening = config.get("session")
        if not opening:
            return {}
        made = rendered(dict(opening), variables, self.renderer)
        method = str(made.get("method") or "POST")
        plan = planned("", {**made, "method": method}, None)
        call = await self._with_auth(request_of(plan, variables, self.renderer), config, context)
        caller = self._caller(call)
        came = await asking.limited(endpoint_of(self.spec, call.url), lambda: caller.send(call))
        code = str(opening.get("responseParser") or "data.body.sessionId")
        found = await self._evaluated("session.responseParser", code, _parser_names(came), ("data",), scripts)
        if not isinstance(found, str | int):
            raise Unavailable(f"provider {self.label}: no session in an answer with status {came.status}")
        if topic:
            self.sessions[topic] = str(found)
        return {"sessionId": str(found)}

    async def _with_auth(self, call: HttpCall, config: Mapping[str, Any], context: CallContext) -> HttpCall:
        auth = config.get("auth")
        if not auth:
            return call
        auth = rendered(dict(auth), context.vars, self.renderer)
        if auth.get("type") != "oauth":
            return with_auth(call, auth)
        caller = self._caller(HttpCall(url=str(auth.get("tokenUrl") or "")))
        return with_auth(call, auth, await self.tokens.of(auth, caller))

    async def _accept(
        self, caller: Caller, came: WireAnswer, config: Mapping[str, Any], scripts: Scripts
    ) -> None:
        """Raise unless the status is one to read. promptfoo reads every one; a 429 or 5xx is no answer here, nor is a 401."""
        code = config.get("validateStatus")
        is_down = came.status in _REFUSED or came.status == _TOO_MANY or came.status >= _ERROR
        if not code and not is_down:
            return
        if code:
            good = await self._evaluated(
                "validateStatus", str(code), {"status": came.status}, ("status",), scripts
            )
            if good:
                return
            if not is_down and came.status < _CLIENT_ERROR:
                raise wrong(
                    self.spec,
                    "config.validateStatus",
                    f"false for {came.status}",
                    "expected an answer that it accepts",
                )
        raise failure(caller.target, status=came.status, headers=came.headers, value=json_of(came.body))

    async def _read(self, came: WireAnswer, config: Mapping[str, Any], scripts: Scripts) -> ChatAnswer:
        text = came.body.decode(errors="replace")
        value = json_of(came.body)
        code = config.get("transformResponse") or config.get("responseParser")
        given: Any = text if value is None else value
        if code:
            response = {"data": text, "status": came.status, "statusText": "", "headers": dict(came.headers)}
            names = {"json": value, "text": text, "context": {"response": response}}
            given = await self._evaluated(
                "transformResponse", str(code), names, ("json", "text", "context"), scripts
            )
        if code and given is None:
            raise wrong(self.spec, "config.transformResponse", "without a value", "expected the output")
        if given is None or given == "":
            raise Unavailable(f"provider {self.label} answered {came.status} without an output")
        is_whole = code is not None and isinstance(given, Mapping) and ("output" in given or "error" in given)
        made = own_answer(
            given if is_whole else {"output": given}, who=self.label, latency_ms=came.latency_ms
        )
        metadata = {**made.metadata, "http": {"status": came.status, "headers": _public(came.headers)}}
        parser = config.get("sessionParser")
        if parser:
            found = await self._evaluated(
                "sessionParser", str(parser), _parser_names(came), ("data",), scripts
            )
            metadata["sessionId"] = found
        return _with(made, metadata, came)

    async def _evaluated(
        self, key: str, code: str, names: Mapping[str, Any], arguments: tuple[str, ...], scripts: Scripts
    ) -> Any:
        try:
            return await evaluate(code, names, scripts, base=self.spec.base, arguments=arguments)
        except (Missing, ScriptFailed) as error:
            raise wrong(
                self.spec,
                f"config.{key}",
                f"failed: {error}"[:300],
                "expected an expression that has a value",
            ) from None

    def _remember(self, answer: ChatAnswer, context: CallContext) -> None:
        topic = str(context.test.get("metadata", {}).get("conversationId") or "") if context.test else ""
        session = answer.metadata.get("sessionId")
        if topic and session is not None:
            self.sessions[topic] = str(session)


def _parser_names(came: WireAnswer) -> dict[str, Any]:
    body = json_of(came.body)
    return {
        "data": {
            "headers": dict(came.headers),
            "body": came.body.decode(errors="replace") if body is None else body,
        }
    }


def _public(headers: Mapping[str, str]) -> dict[str, str]:
    """Without cookies, which are keys."""
    return {name: value for name, value in headers.items() if name != "set-cookie"}


def _with(answer: ChatAnswer, metadata: dict[str, Any], came: WireAnswer) -> ChatAnswer:
    return replace(answer, metadata=metadata, limits=limits_of(came.headers))


def make_http(spec: ProviderSpec, tools: Tools) -> HttpProvider:
    """The provider of an `http` id. Raises ConfigError: no address, or something that cannot be done here."""
    config = spec.config
    for name, what in _UNSUPPORTED.items():
        if config.get(name):
            raise wrong(
                spec,
                f"config.{name}",
                "given",
                f"expected none: {what} cannot be made here",
                "put a small proxy in front",
            )
    raw = config.get("request")
    if isinstance(raw, str) and raw.startswith("file://"):
        path = (spec.base / raw.removeprefix("file://")).resolve()
        try:
            raw = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise wrong(
                spec, "config.request", str(path), f"expected a file that can be read ({error})"
            ) from None
    try:
        plan = planned(spec.id, config, None if raw is None else str(raw))
    except Malformed as error:
        raise wrong(spec, "config", "no request", str(error)) from None
    shown = plan.url if raw is None else spec.id
    return HttpProvider(spec=spec, id=shown, tools=tools, raw=None if raw is None else str(raw))
