"""A gateway in memory: scripted upstream, a list for a spool, clocks that tests own, and a bare ASGI client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from promptship.adapters.memory.route_feed import MemoryRouteFeed
from promptship.client.kept import KeptRoutes
from promptship.gateway.app import Gateway, create_app
from promptship.gateway.sampling import Samples
from promptship.gateway.spans import Tracing
from promptship.gateway.upstream import Costs
from promptship.prompts.digest import canonical, digest
from promptship.prompts.model import Message, Prompt, Variable
from promptship.routing.api import Api
from promptship.routing.observation import Feedback, Observation
from promptship.routing.table import Route, RoutingTable, Split, Version
from promptship.settings import GatewaySettings

SECRET = b"a secret of the tests, long enough"
AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SALT = "salt-1"


def prompt(text: str = "Answer {{ question }}", **changes: Any) -> Prompt:
    values: dict[str, Any] = {
        "name": "support",
        "model": "gpt-x",
        "messages": (Message(role="system", content=text),),
        "variables": {"question": Variable()},
        **changes,
    }
    return Prompt.model_validate(values)


STABLE = prompt("Stable. {{ question }}")
CANDIDATE = prompt("Candidate. {{ question }}")
STABLE_DIGEST, CANDIDATE_DIGEST = digest(STABLE), digest(CANDIDATE)


def table(
    *,
    stable: Prompt | None = STABLE,
    candidate: Prompt | None = None,
    share: float = 0.5,
    lease_s: float = 30.0,
    revision: int = 1,
    stage: int = 0,
) -> RoutingTable:
    split = None
    if candidate is not None:
        split = Split(
            release_id="r-1",
            candidate=digest(candidate),
            stage=stage,
            share=share,
            salt=SALT,
            lease_s=lease_s,
        )
    route = Route(prompt="support", revision=revision, stable=digest(stable) if stable else None, split=split)
    versions = {
        digest(one): Version(digest=digest(one), commit="c0ffee", content=canonical(one))
        for one in (stable, candidate)
        if one is not None
    }
    return RoutingTable(revision=revision, routes={"support": route}, versions=versions)


class ListSpool:
    def __init__(self, *, broken: bool = False) -> None:
        self.lines: list[Observation | Feedback] = []
        self.lost = 0
        self.closed = False
        self._broken = broken

    def write(self, record: Feedback | Mapping[str, Any]) -> bool:
        if self._broken:
            self.lost += 1
            return False
        self.lines.append(Observation.model_validate(record) if isinstance(record, Mapping) else record)
        return True

    def close(self) -> None:
        self.closed = True

    @property
    def observations(self) -> list[Observation]:
        return [line for line in self.lines if isinstance(line, Observation)]


@dataclass
class Now:
    """Both clocks of a test."""

    seconds: float = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return AT


def completion(text: str | None = "hello", **changes: Any) -> bytes:
    answer = {
        "id": "c-1",
        "object": "chat.completion",
        "model": "gpt-x-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
        **changes,
    }
    return orjson.dumps(answer)


def event(text: str = "", *, finish: str | None = None, **changes: Any) -> bytes:
    delta = {"content": text} if text else {}
    chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **changes}
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


@dataclass
class FakeAnswer:
    pieces: Sequence[bytes | BaseException | Callable[[], Any]] = ()
    status: int = 200
    content_type: str = "application/json"
    extra: Sequence[tuple[bytes, bytes]] = ()
    closed: bool = False

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        return [(b"Content-Type", self.content_type.encode()), (b"set-cookie", b"no=way"), *self.extra]

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, BaseException):
                raise piece
            if isinstance(piece, bytes):
                yield piece
            else:
                await piece()

    async def aclose(self) -> None:
        self.closed = True


@dataclass
class FakeUpstream:
    """Gives the answers in order, the last one for ever; keeps what it was asked."""

    answers: list[FakeAnswer | BaseException | Callable[[], Any]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    apis: list[tuple[Api, dict[str, str]]] = field(default_factory=list)
    closed: bool = False

    async def open(
        self, model: str, body: bytes, api: Api = "chat", headers: Sequence[tuple[str, str]] = ()
    ) -> FakeAnswer:
        self.apis.append((api, dict(headers)))
        self.asked.append((model, orjson.loads(body)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, FakeAnswer):
            return answer
        await answer()
        raise AssertionError("the wait should not end")

    async def aclose(self) -> None:
        self.closed = True


@dataclass
class Heard:
    """What the client got."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json["error"]
        return found


@dataclass
class Bench:
    """A gateway with everything around it within reach."""

    app: Gateway
    feed: MemoryRouteFeed
    upstream: FakeUpstream
    spool: ListSpool
    now: Now
    kept: Path

    def know(self, routes: RoutingTable) -> None:
        """The table, as if the feed had just brought it."""
        self.app._live.take(routes)

    async def chat(self, fields: dict[str, Any] | None = None, **options: Any) -> Heard:
        body = {"model": "prompt:support", "prompt_variables": {"question": "why?"}, **(fields or {})}
        return await self.ask("POST", "/v1/chat/completions", orjson.dumps(body), **options)

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        headers: dict[str, str] | None = None,
        leave: asyncio.Event | None = None,
    ) -> Heard:
        """One request. The client hangs up when `leave` is set, else after the answer."""
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
        }
        sent: list[dict[str, Any]] = []
        incoming = [{"type": "http.request", "body": body, "more_body": False}]
        gone = leave or asyncio.Event()

        async def receive() -> dict[str, Any]:
            if incoming:
                return incoming.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)
            await asyncio.sleep(0)

        await self.app(scope, receive, send)
        assert not sent or sent[-1].get("more_body") is False or leave is not None
        heads = [message for message in sent if message["type"] == "http.response.start"]
        return Heard(
            status=heads[0]["status"] if heads else 0,
            headers={name.decode().lower(): value.decode() for name, value in heads[0]["headers"]}
            if heads
            else {},
            body=b"".join(message.get("body", b"") for message in sent),
        )


def bench(
    tmp_path: Path,
    *answers: Any,
    routes: RoutingTable | None = None,
    spool: ListSpool | None = None,
    costs: Costs | None = None,
    samples: Samples | None = None,
    tracing: Tracing | None = None,
    **settings: Any,
) -> Bench:
    feed, now = MemoryRouteFeed(), Now()
    upstream = FakeUpstream(list(answers) or [FakeAnswer([completion()])])
    spool = spool or ListSpool()
    kept = tmp_path / "gateway-routes.json"
    app = create_app(
        feed=feed,
        upstream=upstream,
        spool=spool,
        secret=SECRET,
        clock=now,
        kept=KeptRoutes(kept),
        settings=GatewaySettings(**settings),
        costs=costs,
        monotonic=now.monotonic,
        samples=samples,
        tracing=tracing,
    )
    built = Bench(app=app, feed=feed, upstream=upstream, spool=spool, now=now, kept=kept)
    built.know(routes or table())
    return built
