"""The client: a gateway's prompts, held in this process. What is heavy is imported when it is first needed."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import threading
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from promptship.client.state import State
from promptship.errors import ConfigError, NotFound, Problem, PromptshipError, Refused, Unavailable

if TYPE_CHECKING:
    from promptship.client.bundle import Readable
    from promptship.client.follower import Follower
    from promptship.client.outbox import Outbox
    from promptship.client.prompt import PromptHandle

GATEWAY_VARIABLE: Final = "PROMPTSHIP_GATEWAY"
KEY_VARIABLE: Final = "PROMPTSHIP_APPLICATION_KEY"
WAIT_S: Final = 2.0
_JOIN_S_MAX: Final = 0.5
_CACHE: Final = "~/.cache"
_PIN: Final = re.compile(r"[0-9a-f]{6,64}")
_KIND: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Client:
    """Gives an application its prompts; safe in threads and across forks. One per process is enough.

    Args:
        gateway: base address; None: of the environment variable PROMPTSHIP_GATEWAY, else http://127.0.0.1:4281.
        key: the application's; None: of PROMPTSHIP_APPLICATION_KEY; empty: the gateway asks for none.
        cache: directory of the last known routes; "": `promptship` in the user's cache; None: nothing is kept on disk.
        bundle: file made by `promptship client export`: a path, or a file of `importlib.resources`.
        wait_s: how long the first `get` waits for the gateway. No later one waits.

    Raises:
        ConfigError: the address is none.
    """

    def __init__(
        self,
        gateway: str | None = None,
        *,
        key: str | None = None,
        cache: str | Path | None = "",
        bundle: str | Path | Readable | None = None,
        wait_s: float = WAIT_S,
    ) -> None:
        self.gateway = _address(gateway or os.environ.get(GATEWAY_VARIABLE) or "http://127.0.0.1:4281")
        self._key = os.environ.get(KEY_VARIABLE, "") if key is None else key
        self._secret = hmac.digest(
            self._key.encode(), b"promptship feedback token of a client", hashlib.sha256
        )
        self._cache = _place(cache, self.gateway)
        self._bundle = Path(bundle) if isinstance(bundle, str) else bundle
        self._wait_s = wait_s
        self._handles: dict[tuple[str, str], PromptHandle] = {}
        self._building = threading.Lock()
        self._built: tuple[Follower, Outbox] | None = None
        self._closed = False
        self._end: weakref.finalize[..., Client] | None = None
        _CLIENTS.add(self)

    def get(self, name: str, *, version: str = "") -> PromptHandle:
        """A prompt. Only the first call waits, at most `wait_s`; then the last known routes serve, then the bundle.

        Args:
            name: of the prompt.
            version: a pin: at least 6 characters of a digest. That version is served, or none.

        Raises:
            NotFound: there is no such prompt, or the pinned version is not served now.
            Unavailable: no routes are known: not from the gateway, not on disk, and there is no bundle.
            ConfigError: the bundle cannot be read.
        """
        handle = self._handles.get((name, version))
        if handle is not None and self._built is not None and self._built[0].thread is not None:
            return handle
        return self._find(name, version)

    def feedback(self, token: str, kind: str, value: bool = True) -> bool:
        """Say something about an answer, in the background; again for the same answer and kind replaces it.

        Args:
            token: `PromptCall.token`, or a gateway's `x-promptship-feedback-token`.
            kind: a lower-case word of at most 40 characters, such as `thumbs_down`.
            value: false takes it back.

        Returns:
            False: it could not be queued; `state.dropped` counts it.

        Raises:
            Refused: no token at all, or the kind is no such word.
        """
        from promptship.routing.request_id import uuid7
        from promptship.routing.token import read

        if not _KIND.fullmatch(kind):
            raise Refused("kind is a lower-case word of at most 40 characters: thumbs_down, escalated, ...")
        if token.count(".") != 2:  # noqa: PLR2004 - scheme, claims, signature
            raise Refused("this is no feedback token; pass it on exactly as it was given")
        at_ms = time.time_ns() // 1_000_000
        said = {"id": uuid7(at_ms), "at_ms": at_ms, "kind": kind, "value": bool(value)}
        outbox = self._parts()[1]
        try:
            claims = read(self._secret, token)
        except Refused:
            # Not one of ours: a gateway's, and only a gateway can tell.
            return outbox.put("feedback", {**said, "token": token})
        return outbox.put("feedback", {**said, **claims._asdict()})

    @property
    def state(self) -> State:
        """What is served, how old it is, and what became of reports."""
        if self._built is None:
            return State(source="none", revision=None, age_s=None, trouble="not asked yet", queued=0, sent=0, dropped=0, refused=0)  # fmt: skip
        follower, outbox = self._built
        table = follower.live.table
        return State(
            source=follower.source,
            revision=None if table is None else table.revision,
            age_s=None if table is None else round(follower.live.age_s, 3),
            trouble=follower.trouble,
            queued=outbox.queued,
            sent=outbox.sent,
            dropped=outbox.dropped,
            refused=outbox.refused,
        )

    def close(self) -> None:
        """Send what waits, for at most 2 s, and end the threads. Also done when the process ends."""
        self._closed = True
        if self._built is not None:
            follower, outbox = self._built
            _let_go(follower, outbox)
            outbox.join()
            follower.join(_JOIN_S_MAX)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.gateway!r})"

    def _find(self, name: str, version: str) -> PromptHandle:
        from promptship.client.prompt import PromptHandle

        follower, outbox = self._parts()
        follower.start()
        if follower.live.table is None:
            follower.load()
            if follower.source != "gateway":
                follower.wait(self._wait_s)
        if follower.live.table is None:
            raise Unavailable(
                f"no prompts: {self.gateway} tells none ({follower.trouble}), nothing is kept on disk, and there is no bundle"
            )
        if version and not _PIN.fullmatch(version):
            raise NotFound(f"{version[:80]!r} is no version: give at least 6 characters of its digest")
        handle = PromptHandle(
            self, name, version, live=follower.live, outbox=outbox, secret=self._secret, application=lambda: follower.application
        )  # fmt: skip
        handle.choose()
        return self._handles.setdefault((name, version), handle)

    def _parts(self) -> tuple[Follower, Outbox]:
        from promptship.client.follower import Follower
        from promptship.client.kept import KeptRoutes
        from promptship.client.outbox import Outbox

        if self._closed:
            raise PromptshipError("this client is closed")
        with self._building:
            if self._built is None:
                kept = KeptRoutes(self._cache) if self._cache is not None else None
                follower = Follower(self.gateway, self._key, kept=kept, bundle=self._bundle)
                outbox = Outbox(self.gateway, self._key)
                self._end = weakref.finalize(self, _let_go, follower, outbox)
                self._end.atexit = False  # its parts end with the process by themselves
                self._built = follower, outbox
        return self._built


class AsyncClient:
    """`Client` for asyncio: `get` and `aclose` wait without holding the event loop up; prompts are the same.

    Args: as for `Client`.
    """

    def __init__(
        self,
        gateway: str | None = None,
        *,
        key: str | None = None,
        cache: str | Path | None = "",
        bundle: str | Path | Readable | None = None,
        wait_s: float = WAIT_S,
    ) -> None:
        self._client = Client(gateway, key=key, cache=cache, bundle=bundle, wait_s=wait_s)

    async def get(self, name: str, *, version: str = "") -> PromptHandle:
        """See `Client.get`."""
        import asyncio

        client = self._client
        if client.state.revision is not None:
            return client.get(name, version=version)
        return await asyncio.to_thread(client.get, name, version=version)

    def feedback(self, token: str, kind: str, value: bool = True) -> bool:
        """See `Client.feedback`; it never waits."""
        return self._client.feedback(token, kind, value)

    @property
    def state(self) -> State:
        """See `Client.state`."""
        return self._client.state

    async def aclose(self) -> None:
        """See `Client.close`."""
        import asyncio

        await asyncio.to_thread(self._client.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"AsyncClient({self._client.gateway!r})"


_CLIENTS: weakref.WeakSet[Client] = weakref.WeakSet()


def _after_fork() -> None:
    for client in list(_CLIENTS):
        client._building = threading.Lock()  # noqa: SLF001 - ours


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _let_go(follower: Follower, outbox: Outbox) -> None:
    """Tell the threads to end. It waits for nothing: nobody knows in which thread a client is collected."""
    from promptship.client.outbox import CLOSE_S_MAX

    outbox.end(CLOSE_S_MAX)
    follower.end()


def _address(gateway: str) -> str:
    try:
        parts = urlsplit(gateway)
        good = parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc
        _ = parts.port
    except ValueError:
        good = False
    if not good:
        raise ConfigError(
            [
                Problem(
                    "promptship.client", "gateway", "no address", "expected http://host:port, without a user"
                )
            ]
        )
    return gateway.rstrip("/")


def _place(cache: str | Path | None, gateway: str) -> Path | None:
    if cache is None:
        return None
    directory = Path(cache) if cache else Path(os.environ.get("XDG_CACHE_HOME") or _CACHE) / "promptship"
    name = hashlib.sha256(gateway.encode()).hexdigest()[:16]
    try:
        return directory.expanduser() / f"routes-{name}.json"
    except RuntimeError:
        return None  # no home, no place
