"""HTTP for everything an evaluation calls: providers, judges, webhooks. One call, one deadline, one kind of error.

The API is httpx's; the connections are aiohttp's (`httpx-aiohttp`). httpx's own pool walks all its connections at every call:
at 128 calls in parallel one call costs it 3.3 ms of CPU, this one 0.13 ms.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import sys
import time
import urllib.request
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson

# httpx loads its own command line where rich, click and pygments are installed: 40 ms that no call needs. Told that there is none,
# it does without, as where they are not.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
import httpx  # noqa: E402

from promptship.errors import ConfigError, Problem, Unavailable  # noqa: E402

if TYPE_CHECKING:
    from httpx_aiohttp import AiohttpTransport

Headers = Sequence[tuple[str, str]] | Mapping[str, str]

BODY_BYTES_MAX: Final = 32_000_000
_HEAD_BYTES_MAX: Final = 65_536
_CONNECTIONS_MAX: Final = 1_000  # the caller bounds parallel calls; this only must not be the smaller one
_KEEPALIVE_S: Final = (
    4.0  # common servers close an idle connection after 5 s; a call must not meet that moment
)
_CLOSE_S_MAX: Final = 1.0
_GZIP: Final = (zlib.MAX_WBITS | 16,)
_WINDOWS: Final = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": (zlib.MAX_WBITS, -zlib.MAX_WBITS)}
"""How zlib reads an encoding; of `deflate` there are two kinds."""
T = TypeVar("T", bytes, bytearray)


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """A whole answer, whatever its status. Names of `headers` are lower case; equal ones are joined with a comma."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    latency_ms: float
    """From the call to the last byte."""


class Wire:
    """Pooled connections, kept per event loop: `aclose` before it ends. Redirects are not followed, cookies not kept.

    `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` are respected, and `SSL_CERT_FILE`; this machine itself is always
    reached directly. `bytes_max` bounds the body of an answer, unpacked.
    """

    def __init__(self, *, bytes_max: int = BODY_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._loop: asyncio.AbstractEventLoop | None = None
        self._routes: dict[str, tuple[httpx.URL, AiohttpTransport]] = {}
        self._transports: dict[tuple[bool, str], AiohttpTransport] = {}

    async def send(
        self, method: str, url: str, *, headers: Headers = (), body: bytes | None = None, timeout_s: float
    ) -> WireAnswer:
        """One answer within `timeout_s`, counted from here to the last byte, connecting included.

        Raises:
            Unavailable: no connection, reset, cut off, not HTTP, too many bytes, not in time.
            ConfigError: the address is none, a header cannot be sent, or the environment names a proxy that cannot be used.
        """
        address, transport = self._route(url)
        began = time.perf_counter()
        try:
            async with asyncio.timeout(timeout_s):
                status, heads, content = await self._exchange(transport, method, address, headers, body)
        except TimeoutError:
            raise Unavailable(f"{_shown(address)} did not answer within {timeout_s:g} s") from None
        except _faults() as error:
            raise Unavailable(f"{_shown(address)}: {_reason(error)}") from None
        except ValueError:
            # What no header can hold. The text of the error would quote it, and it may be a key.
            expected = "expected names and values that HTTP can carry: ASCII, on one line"
            raise ConfigError(
                [Problem(_shown(address), "headers", "a character HTTP forbids", expected)]
            ) from None
        return WireAnswer(status, heads, content, (time.perf_counter() - began) * 1000)

    async def aclose(self) -> None:
        """Close the connections; a later call opens new ones."""
        transports, self._transports, self._routes = list(self._transports.values()), {}, {}
        if self._loop is asyncio.get_running_loop():
            for transport in transports:
                await transport.aclose()

    async def _exchange(
        self,
        transport: AiohttpTransport,
        method: str,
        address: httpx.URL,
        headers: Headers,
        body: bytes | None,
    ) -> tuple[int, dict[str, str], bytes]:
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        if not any(name.lower() == "accept-encoding" for name, _ in pairs):
            pairs.append(("accept-encoding", "identity"))
        request = httpx.Request(method, address, headers=pairs, content=body)
        response = await transport.handle_async_request(request)
        heads = _lower(response.headers.raw)
        whole = False
        try:
            content = await self._read(response.stream, heads)
            whole = True
        finally:
            with contextlib.suppress(Exception):
                # A server that answers early and does not read on would keep a plain `aclose` waiting for ever.
                async with asyncio.timeout(None if whole else _CLOSE_S_MAX):
                    await response.aclose()
        return response.status_code, heads, content

    async def _read(self, stream: object, heads: Mapping[str, str]) -> bytes:
        assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101 - the transport is an asynchronous one
        content = bytearray()
        async for chunk in stream:
            content += chunk
            self._bounded(content)
        # Not httpx's decoders: they unpack a whole piece at once, and 200 kB of gzip may hold 200 MB, in two layers any amount.
        whole = bytes(content)
        if encodings := heads.get("content-encoding"):
            for encoding in reversed([one.strip() for one in encodings.lower().split(",")]):
                whole = self._bounded(_unpacked(whole, encoding, self._bytes_max + 1))
        return whole

    def _bounded(self, content: T) -> T:
        if len(content) > self._bytes_max:
            raise httpx.ReadError(f"sent more than {self._bytes_max:,} bytes")
        return content

    def _route(self, url: str) -> tuple[httpx.URL, AiohttpTransport]:
        # A connection lives in the loop that opened it, and a task may run each of its suites in a loop of its own.
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._routes, self._transports = loop, {}, {}
        known = self._routes.get(url)
        if known is None:
            address = _address(url)
            key = address.scheme == "https", _proxy(address.scheme, address.host)
            transport = self._transports.get(key)
            if transport is None:
                transport = self._transports[key] = _transport(secure=key[0], proxy=key[1])
            if len(self._routes) > _CONNECTIONS_MAX:  # addresses made from a case's variables
                self._routes.clear()
            known = self._routes[url] = address, transport
        return known


class WireWeb:
    """`promptship.evals.services.Web`: JSON to a service of the user's own."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def post(self, url: str, body: Any, *, timeout_s: float) -> tuple[int, Any]:
        """Status and JSON (None when the answer is none). Raises Unavailable, ConfigError (no address)."""
        try:
            content = orjson.dumps(body, default=str, option=orjson.OPT_NON_STR_KEYS)
        except TypeError:  # an integer beyond 64 bits
            content = json.dumps(body, default=str).encode()
        headers = [("content-type", "application/json"), ("accept", "application/json")]
        answer = await self._wire.send("POST", url, headers=headers, body=content, timeout_s=timeout_s)
        try:
            return answer.status, orjson.loads(answer.body)
        except ValueError:
            return answer.status, None


def _unpacked(content: bytes, encoding: str, bytes_max: int) -> bytes:
    """The first bytes of a packed body; one in an encoding that nobody asked for stays as it is."""
    if encoding not in _WINDOWS or not content:
        return content
    for bits in _WINDOWS[encoding]:
        unpacker = zlib.decompressobj(bits)
        try:
            unpacked = unpacker.decompress(content, bytes_max)
        except zlib.error:
            continue
        if len(unpacked) < bytes_max and not unpacker.eof:
            break
        return unpacked
    raise httpx.DecodingError(f"sent a body that is no {encoding}")


def _transport(*, secure: bool, proxy: str) -> AiohttpTransport:
    import aiohttp
    from httpx_aiohttp import AiohttpTransport

    # Trusted certificates take 30 ms to read: only for those who need them.
    verify: bool | ssl.SSLContext = httpx.create_ssl_context() if secure or proxy else False
    connector = aiohttp.TCPConnector(limit=_CONNECTIONS_MAX, keepalive_timeout=_KEEPALIVE_S, ssl=verify)
    session = aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False,
        skip_auto_headers=("accept", "user-agent"), max_line_size=_HEAD_BYTES_MAX, max_field_size=_HEAD_BYTES_MAX,
    )  # fmt: skip
    return AiohttpTransport(verify=verify, client=session, proxy=httpx.Proxy(proxy) if proxy else None)


def _faults() -> tuple[type[Exception], ...]:
    """What may go wrong on the way. httpx-aiohttp lets some of aiohttp's own errors through."""
    import aiohttp

    return (httpx.HTTPError, httpx.StreamError, aiohttp.ClientError, OSError, EOFError)


def _address(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        address = httpx.URL("")
    if address.scheme not in {"http", "https"} or not address.host:
        problem = Problem("", "url", repr(url)[:200], "expected an http or https address", "correct it")
        raise ConfigError([problem])
    return address


def _proxy(scheme: str, host: str) -> str:
    """Address of the proxy for a host; empty: none."""
    if _is_loopback(host) or urllib.request.proxy_bypass(host):
        return ""
    proxies = urllib.request.getproxies()
    name = scheme if scheme in proxies else "all"
    proxy = proxies.get(name, "")
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    if proxy and not proxy.startswith(("http://", "https://")):
        kind = proxy.partition("://")[0]
        problem = Problem(
            "environment", f"{name.upper()}_PROXY", f"a {kind} proxy", "expected one of http or https"
        )
        raise ConfigError([problem])
    return proxy


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _lower(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    heads: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        heads[key] = f"{heads[key]}, {text}" if key in heads else text
    return heads


def _shown(address: httpx.URL) -> str:
    """Where to, without anything that could be a key: no user, no path, no query."""
    return f"{address.scheme}://{address.netloc.decode('latin-1')}"


def _reason(error: Exception) -> str:
    """One line. The libraries' messages may hold whole addresses with their query; ours may not."""
    text = " ".join(str(error).split())
    return type(error).__name__ if not text or "?" in text or "@" in text else text[:200]
