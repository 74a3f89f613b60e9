"""Pooled connections of the gateway to its providers: aiohttp's, without its cookies, redirects and decompression.

Measured in docs/decisions/0012-gateway-transport.md: httpx's own pool walks all its connections at every call.
"""

from __future__ import annotations

import asyncio
import urllib.request
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from promptship.adapters.providers.endpoints import LOOPBACK
from promptship.errors import Unavailable

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

CONNECT_S_MAX: Final = 10.0
_KEEPALIVE_S: Final = 4.0
"""Common servers close an idle connection after 5 s; a call must not meet that moment."""
_HEAD_BYTES_MAX: Final = 65_536
_PIECE_BYTES_MAX: Final = 262_144
"""Of an unpacked piece: 200 kB of gzip may hold 200 MB."""
_HEAD_BYTES: Final = 2
"""Of a packed body: enough to tell its kind, and fewer than any has."""
_WINDOWS: Final = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


class Proxies(Protocol):
    """The proxy for a URL scheme and host; None: direct."""

    def __call__(self, scheme: str, host: str) -> str | None:
        """Address of the proxy."""
        ...


def environment_proxies(scheme: str, host: str) -> str | None:
    """What `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say; this machine itself is always reached directly."""
    if host in LOOPBACK or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


class Connections:
    """One pool per provider address. Make one per event loop; `aclose` before it ends."""

    def __init__(self, proxies: Proxies = environment_proxies) -> None:
        self._proxies = proxies
        self._known: dict[tuple[str, str], str | None] = {}
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._timeout: aiohttp.ClientTimeout | None = None

    async def post(self, url: URL, headers: Mapping[str, str], body: bytes) -> aiohttp.ClientResponse:
        """Send, and wait for the head of the answer. Raises what aiohttp raises; connecting takes at most 10 s."""
        place = (url.scheme, url.raw_host or "")
        if place not in self._known:
            self._known[place] = self._proxies(*place)
        proxy = self._known[place]
        session = self._sessions.get(url.scheme == "https") or self._opened(secure=url.scheme == "https")
        return await session.request(
            "POST",
            url,
            data=body,
            headers=headers,
            allow_redirects=False,
            timeout=self._timeout,
            proxy=proxy,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()

    def _opened(self, *, secure: bool) -> aiohttp.ClientSession:
        import aiohttp
        import httpx

        # Every other wait is under the caller's deadline; parallel calls are bounded where requests come in.
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S_MAX)
        connector = aiohttp.TCPConnector(
            limit=0, keepalive_timeout=_KEEPALIVE_S, ssl=httpx.create_ssl_context() if secure else True
        )
        session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False,
            skip_auto_headers=("accept", "user-agent"), max_line_size=_HEAD_BYTES_MAX, max_field_size=_HEAD_BYTES_MAX,
        )  # fmt: skip
        self._sessions[secure] = session
        return session


async def unpacked(
    pieces: AsyncIterator[bytes], encodings: Iterable[str], provider: str
) -> AsyncIterator[bytes]:
    """The pieces of a compressed body, unpacked as they come, in bounded pieces.

    Raises:
        Unavailable: not what the encoding says, cut off, or an encoding that was not asked for and is not known here.
    """
    for encoding in reversed(list(encodings)):
        if encoding == "identity":
            continue
        if encoding not in _WINDOWS:
            raise Unavailable(f"provider {provider}: an answer in the encoding {encoding[:40]!r}")
        pieces = _inflated(pieces, _WINDOWS[encoding], provider)
    async for piece in pieces:
        yield piece


async def _inflated(pieces: AsyncIterator[bytes], window: int, provider: str) -> AsyncIterator[bytes]:
    unpacker, held = None, b""
    try:
        async for piece in pieces:
            held += piece
            if unpacker is None:
                if len(held) < _HEAD_BYTES:
                    continue
                unpacker = zlib.decompressobj(_window(held, window))
            while not unpacker.eof:
                unpacked = unpacker.decompress(held, _PIECE_BYTES_MAX)
                held = unpacker.unconsumed_tail
                if not unpacked and not held:
                    break
                if unpacked:
                    yield unpacked
                await asyncio.sleep(0)  # much may come of little
            held = b""
    except zlib.error as error:
        raise Unavailable(f"provider {provider}: a compressed answer that cannot be unpacked") from error
    if held or (unpacker is not None and not unpacker.eof):
        raise Unavailable(f"provider {provider}: a compressed answer that breaks off")


def _window(head: bytes, window: int) -> int:
    """How zlib reads it: of `deflate` there are two kinds, one with a head of its own (RFC 1950) and one without."""
    is_deflate = window == zlib.MAX_WBITS
    has_head = head[0] & 15 == zlib.DEFLATED and int.from_bytes(head[:2]) % 31 == 0
    return -window if is_deflate and not has_head else window
