"""The HTTP request of an `http` provider, from its configuration and the variables of a call. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit, urlunsplit

import orjson

from promptship.adapters.providers.dialects import HttpCall
from promptship.evals.promptfoo.javascript_text import json_text
from promptship.evals.promptfoo.nunjucks import Nunjucks

_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_BODILESS: Final = frozenset({"GET", "HEAD"})
_NOT_SENT: Final = frozenset({"content-length", "connection", "transfer-encoding", "host", "accept-encoding"})
"""Of a raw request: HTTP sends them by itself."""


class Malformed(ValueError):
    """A configuration that gives no request; the message says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A request with its templates."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    escapes: bool = False
    """Variables are put in as JSON strings want them: it was one raw text."""


def planned(id_: str, config: Mapping[str, Any], raw: str | None) -> Plan:
    """The request of a configuration; `raw`: text of `request`, None without.

    Raises:
        Malformed: no address, a body that its content type cannot carry, a raw request that is none.
    """
    if raw is not None:
        return parsed_raw(raw, https=bool(config.get("useHttps")), body=config.get("body"))
    url = str(config.get("url") or (id_ if "://" in id_ else ""))
    if not url:
        raise Malformed("expected `url`, or `request`")
    headers = {str(name).lower(): str(value) for name, value in (config.get("headers") or {}).items()}
    body = config.get("body")
    kind = headers.get("content-type")
    if body is not None and kind is None:
        headers["content-type"] = _FORM if isinstance(body, str) else _JSON
    elif isinstance(body, Mapping | list) and kind is not None and _JSON not in kind.lower():
        raise Malformed("expected a body in text: the content type is not application/json")
    method = str(config.get("method") or "GET").upper()
    return Plan(url=url, method=method, headers=headers, query=config.get("queryParams") or {}, body=body)


def parsed_raw(raw: str, *, https: bool, body: Any = None) -> Plan:
    """A request as it stands on the wire: request line, headers, an empty line, body. Raises Malformed."""
    text = raw.replace("\r\n", "\n").lstrip("\n")
    head, _, rest = text.partition("\n\n")
    first, *lines = head.split("\n")
    parts = first.split(" ")
    if len(parts) < 2 or not parts[0].isalpha():  # noqa: PLR2004 - method and path
        raise Malformed("expected a raw request that begins with METHOD /path HTTP/1.1")
    path = " ".join(parts[1:-1]) if parts[-1].startswith("HTTP/") else " ".join(parts[1:])
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise Malformed(f"expected headers as name: value, got {line[:40]!r}")
        headers[name.strip().lower()] = value.strip()
    host = headers.get("host")
    if "://" not in path:
        if not host:
            raise Malformed("expected a Host header, or a whole address in the first line")
        path = f"{'https' if https else 'http'}://{host}{path}"
    headers = {name: value for name, value in headers.items() if name not in _NOT_SENT}
    given = rest.rstrip("\n") or body
    return Plan(url=path, method=parts[0].upper(), headers=headers, body=given or None, escapes=True)


def request_of(
    plan: Plan, variables: Mapping[str, Any], renderer: Nunjucks, *, merge: Mapping[str, Any] | None = None
) -> HttpCall:
    """The request with its templates filled in. `merge`: what a transform made of the prompt, laid over the body as it stands.

    Raises:
        TemplateError: a template cannot be rendered.
    """
    seen = _escaped(variables) if plan.escapes else variables
    headers = {name: renderer.render(value, seen) for name, value in plan.headers.items()}
    url = _url(plan, seen, renderer)
    content = b""
    if plan.method not in _BODILESS and (plan.body is not None or merge is not None):
        content = _content(plan, headers.get("content-type", ""), variables, renderer, merge)
    return HttpCall(method=plan.method, url=url, headers=tuple(headers.items()), body=content)


def _url(plan: Plan, variables: Mapping[str, Any], renderer: Nunjucks) -> str:
    url = renderer.render(plan.url, variables)
    parts = urlsplit(url)
    pairs = [piece.partition("=") for piece in parts.query.split("&") if piece]
    query = "&".join(name + equals + _quoted(value) for name, equals, value in pairs)
    more = urlencode(
        {str(name): renderer.render(str(value), variables) for name, value in plan.query.items()}
    )
    joined = "&".join(piece for piece in (query, more) if piece)
    return urlunsplit((parts.scheme, parts.netloc, parts.path.replace(" ", "%20"), joined, ""))


def _quoted(value: str) -> str:
    """A value of a query as it was, but for characters that no address can hold."""
    return quote_plus(value, safe="%+!*'(),;:@/?$~-._&=[]{}|") if value else value


def _content(
    plan: Plan, kind: str, variables: Mapping[str, Any], renderer: Nunjucks, merge: Mapping[str, Any] | None
) -> bytes:
    body = plan.body
    if merge is not None:
        under = body if isinstance(body, Mapping) else {}
        return orjson.dumps({**under, **merge})
    if isinstance(body, Mapping | list):
        return json_text(_filled(body, variables, renderer)).encode()
    text = str(body)
    if _JSON not in kind.lower():
        return renderer.render(text, _escaped(variables) if plan.escapes else variables).encode()
    try:
        value = orjson.loads(text)
    except ValueError:  # a template stands where a value belongs: {"a": {{ b | dump }}}
        return renderer.render(text, _escaped(variables)).encode()
    return json_text(_filled(value, variables, renderer)).encode()


def _filled(value: Any, variables: Mapping[str, Any], renderer: Nunjucks) -> Any:
    """A body with its texts rendered; one that becomes a JSON object or list is put in as such."""
    if isinstance(value, Mapping):
        return {name: _filled(item, variables, renderer) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, variables, renderer) for item in value]
    if not isinstance(value, str):
        return value
    text = renderer.render(value, variables)
    if text is not value and text.lstrip().startswith(("{", "[")):
        try:
            return orjson.loads(text)
        except ValueError:
            return text
    return text


def _escaped(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Texts as they stand inside the quotes of JSON."""
    return {
        name: json_text(value)[1:-1] if isinstance(value, str) else value for name, value in variables.items()
    }


def with_auth(call: HttpCall, auth: Mapping[str, Any], token: str = "") -> HttpCall:
    """The call with its credentials: bearer, basic, api_key in a header or the query, or the token of OAuth. Raises Malformed."""
    kind = auth.get("type")
    if kind in {"bearer", "oauth"}:
        return _with_header(call, "authorization", f"Bearer {token or auth.get('token') or ''}")
    if kind == "basic":
        pair = base64.b64encode(f"{auth.get('username', '')}:{auth.get('password', '')}".encode()).decode()
        return _with_header(call, "authorization", f"Basic {pair}")
    if kind == "api_key":
        name, value = str(auth.get("keyName") or "X-API-Key"), str(auth.get("value") or "")
        if auth.get("placement") != "query":
            return _with_header(call, name.lower(), value)
        parts = urlsplit(call.url)
        query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), (name, value)])
        return HttpCall(
            method=call.method,
            url=urlunsplit(parts._replace(query=query)),
            headers=call.headers,
            body=call.body,
        )
    raise Malformed("expected auth of type bearer, basic, api_key or oauth")


def _with_header(call: HttpCall, name: str, value: str) -> HttpCall:
    kept = tuple(pair for pair in call.headers if pair[0].lower() != name)
    return HttpCall(method=call.method, url=call.url, headers=(*kept, (name, value)), body=call.body)
