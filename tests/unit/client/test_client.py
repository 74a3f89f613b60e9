"""The client: where its routes are from, what it decides, and what becomes of them when the gateway is away."""

from __future__ import annotations

import asyncio
import gc
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from promptship.client import AsyncClient, Client
from promptship.client.bundle import make_bundle, read_bundle
from promptship.client.live import LiveTable
from promptship.client.outbox import Outbox
from promptship.client.prompt import PromptHandle
from promptship.errors import ConfigError, InvalidVariables, NotFound, PromptshipError, Unavailable
from promptship.gateway.choose import Choice
from promptship.gateway.choose import choose as gateway_chooses
from promptship.prompts.digest import canonical, digest
from promptship.prompts.model import Message, Prompt
from promptship.release.policy import Experiment
from promptship.routing.table import Route, RoutingTable, Version
from tests.support.client_gateway import KEY, becomes, client_of, kept_in
from tests.support.gateway import CANDIDATE, CANDIDATE_DIGEST, STABLE_DIGEST, Now, table
from tests.support.loopback import Loopback, hangs, raw, says

NOBODY = "http://127.0.0.1:9"
WHY = {"question": "why?"}
CANARY = table(revision=3, candidate=CANDIDATE, share=0.5, lease_s=60.0)


def handle(live: LiveTable, now: Now, pin: str = "") -> PromptHandle:
    client = Client(NOBODY, key=KEY, cache=None)
    return PromptHandle(
        client, "support", pin, live=live, outbox=Outbox(NOBODY, ""), secret=b"s" * 16, monotonic=now.monotonic
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    share=st.floats(0, 1),
    lease_s=st.sampled_from([0.0, 10.0]),
    elapsed_s=st.sampled_from([0.0, 9.99, 10.0, 11.0]),
    unit=st.text(max_size=20),
    pin=st.sampled_from(["", STABLE_DIGEST[:6], CANDIDATE_DIGEST, "0" * 64]),
)
def test_it_decides_exactly_as_the_gateway(
    share: float, lease_s: float, elapsed_s: float, unit: str, pin: str
) -> None:
    now = Now()
    live = LiveTable(monotonic=now.monotonic)
    routes = table(revision=1, candidate=CANDIDATE, share=share, lease_s=lease_s)
    live.take(routes)
    now.seconds += elapsed_s
    expected = gateway_chooses(
        routes.routes["support"], prompt="support", pin=pin, unit=unit, leased=elapsed_s < lease_s
    )
    if isinstance(expected, Choice):
        assert handle(live, now, pin).choose(unit) == expected
    else:
        with pytest.raises(NotFound, match="no other version is served"):
            handle(live, now, pin).choose(unit)


async def test_a_canary_and_its_end_arrive_while_it_runs() -> None:
    async with client_of(CANARY) as (client, gateway, _):
        support = await client.get("support")
        calls = [support.render(WHY, unit=f"u{number}") for number in range(40)]
        assert {call.arm for call in calls} == {"stable", "candidate"}
        for call in calls:
            assert call.messages[0]["content"] == f"{call.arm.capitalize()}. why?"
            assert (call.model, call.release, call.body()["messages"]) == (
                "gpt-x",
                "r-1",
                list(call.messages),
            )
        await gateway.plane.push(table(revision=4))
        await becomes(lambda: client.state.revision == 4)
        assert {support.render(WHY, unit=f"u{number}").arm for number in range(40)} == {"stable"}
        assert (client.state.source, client.state.trouble) == ("gateway", "")
        assert client.state.age_s is not None
        assert client.state.age_s < 10


async def test_the_last_known_routes_serve_stable_when_the_gateway_is_away(tmp_path: Path) -> None:
    async with client_of(CANARY, cache=tmp_path) as (first, _, server):
        await first.get("support")
        await becomes(lambda: bool(list(tmp_path.glob("routes-*"))))
        address = server.url
        await server.stop()
        async with AsyncClient(address, key=KEY, cache=tmp_path) as second:
            support = await second.get("support")
            assert {support.choose(f"u{number}").arm for number in range(40)} == {"stable"}
            assert (second.state.source, second.state.revision) == ("disk", 3)
            assert second.state.trouble
    assert kept_in(tmp_path).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("kept", ["nothing", "nonsense", "older", "newer"])
def test_the_bundle_serves_unless_the_disk_knows_newer_routes(kept: str, tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_bytes(make_bundle(table(revision=5), at_ms=1_000))
    with Client(NOBODY, key="", cache=tmp_path, bundle=tmp_path / "bundle.json") as client:
        revision = {"older": 4, "newer": 6}.get(kept)
        if kept != "nothing":
            text = table(revision=revision).model_dump_json() if revision else "{"
            assert client._cache is not None
            client._cache.write_text(text, encoding="utf-8")
        assert client.get("support").choose("u").version == STABLE_DIGEST
        wanted = ("disk", 6) if kept == "newer" else ("bundle", 5)
        assert (client.state.source, client.state.revision) == wanted
        age_s = client.state.age_s
        assert age_s is not None
        assert (age_s > 1e9) == (wanted[0] == "bundle")


async def test_a_gateway_that_is_cut_off_does_not_pass_for_fresh() -> None:
    old = raw("200 OK", CANARY.model_dump_json().encode(), "age: 100")
    async with Loopback(says(old)) as server, AsyncClient(server.url, cache=None, wait_s=20.0) as client:
        await client.get("support")
        assert client.state.age_s is not None
        assert 100 <= client.state.age_s < 200


async def test_any_revision_of_the_gateway_is_better_than_a_bundle(tmp_path: Path) -> None:
    """The bundle may be of a ledger that was replaced."""
    (tmp_path / "bundle.json").write_bytes(make_bundle(table(revision=50), at_ms=0))
    async with client_of(table(revision=2), bundle=tmp_path / "bundle.json") as (client, _, _):
        follower = client._client._parts()[0]
        follower.load()
        assert client.state.revision == 50
        await client.get("support")
        await becomes(lambda: client.state.source == "gateway")
        assert client.state.revision == 2


async def test_without_any_routes_the_error_says_what_was_tried() -> None:
    with Client(NOBODY, key=KEY, cache=None) as client:
        with pytest.raises(Unavailable, match=r"127.0.0.1:9 tells none \(Connect.*no bundle") as caught:
            await asyncio.to_thread(client.get, "support")
        assert KEY not in str(caught.value)
        assert client.state.source == "none"


async def test_a_gateway_that_hangs_is_waited_for_once_and_not_longer_than_said(tmp_path: Path) -> None:
    waits: list[float] = []
    async with Loopback(hangs) as server:
        (tmp_path / "bundle.json").write_bytes(make_bundle(table(), at_ms=0))
        client = Client(server.url, key=KEY, cache=None, bundle=tmp_path / "bundle.json", wait_s=0.05)
        follower = client._parts()[0]

        def wait(timeout: float | None = None) -> bool:
            waits.append(timeout or -1.0)
            return False

        follower._settled.wait = wait  # type: ignore[method-assign]
        for _ in range(3):
            await asyncio.to_thread(client.get, "support")
        assert waits == [0.05]
        await asyncio.to_thread(client.close)


async def test_a_key_that_is_refused_is_told_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with client_of(CANARY, key="secret-key") as (client, _, _):
        with pytest.raises(Unavailable, match="401"):
            await client.get("support")
        assert "secret-key" not in repr(client) + repr(client.state) + caplog.text


async def test_unknown_prompts_and_pins_are_refused() -> None:
    async with client_of(CANARY) as (client, _, _):
        with pytest.raises(NotFound, match="'other' has been released"):
            await client.get("other")
        for pin in ("0" * 12, "v2", STABLE_DIGEST[:5]):
            with pytest.raises(NotFound):
                await client.get("support", version=pin)
        pinned = await client.get("support", version=CANDIDATE_DIGEST[:8])
        call = pinned.render(WHY, unit="u")
        assert (call.version, call.release) == (CANDIDATE_DIGEST, None)
        with pytest.raises(InvalidVariables, match="question"):
            pinned.render({})
        with pytest.raises(InvalidVariables, match="512"):
            pinned.choose("u" * 513)


POLICY = Experiment(exclude={"minor": (True,)}, segments={"application": ("web",)}, consent="required")


def with_policy(routes: RoutingTable, policy: Experiment) -> RoutingTable:
    route = routes.routes["support"]
    assert route.split is not None
    split = route.split.model_copy(update={"policy": policy})
    return routes.model_copy(update={"routes": {"support": route.model_copy(update={"split": split})}})


@settings(max_examples=60, deadline=None)
@given(
    attributes=st.dictionaries(
        st.sampled_from(["minor", "consent", "application", "other"]), st.sampled_from([True, False, "web", 1, None])
    ),
    application=st.sampled_from(["", "web", "shop"]),
)  # fmt: skip
@example(attributes={"minor": False, "consent": True, "application": "shop"}, application="web")
@example(attributes={"minor": False, "consent": True, "application": "web"}, application="shop")
def test_the_policy_of_a_canary_holds_as_in_the_gateway(attributes: dict[str, Any], application: str) -> None:
    now = Now()
    live = LiveTable(monotonic=now.monotonic)
    routes = with_policy(table(candidate=CANDIDATE, share=1.0), POLICY)
    live.take(routes)
    support = handle(live, now)
    support._application = lambda: application
    told = attributes | ({"application": application} if application else {})
    expected = gateway_chooses(
        routes.routes["support"], prompt="support", pin="", unit="u", leased=True, attributes=told
    )
    assert support.choose("u", attributes) == expected
    assert support.render(WHY, unit="u", attributes=attributes).arm == expected.arm


@pytest.mark.parametrize("attributes", [{"Name": 1}, {"plan": ["pro"]}, {"a b": "x"}])
def test_attributes_that_are_none_are_refused_without_their_value(attributes: dict[str, Any]) -> None:
    now = Now()
    live = LiveTable(monotonic=now.monotonic)
    live.take(table())
    with pytest.raises(InvalidVariables, match="attributes") as caught:
        handle(live, now).choose("u", attributes)
    assert "pro" not in str(caught.value).replace("prompt", "")


async def test_a_closed_client_says_so() -> None:
    async with client_of(CANARY) as (client, _, _):
        await client.get("support")
        await client.aclose()
        with pytest.raises(PromptshipError, match="closed"):
            await client.get("support")


def test_a_client_that_nobody_holds_ends_its_threads(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_bytes(make_bundle(table(), at_ms=0))
    client = Client(NOBODY, key=KEY, cache=None, bundle=tmp_path / "bundle.json")
    held = [client.get("support")]
    thread = client._parts()[0].thread
    assert thread is not None
    del client
    gc.collect()
    held[0].choose("u")
    assert thread.is_alive()  # a prompt holds its client
    held.clear()
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("gateway", ["", "gateway:80", "ftp://a", "http://me:word@a", "http://a:x"])
def test_what_is_no_address_is_refused(gateway: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Client(gateway or "nonsense")
    assert "word" not in str(caught.value)


def test_a_client_takes_its_address_and_key_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMPTSHIP_GATEWAY", "http://gateway:1/")
    monkeypatch.setenv("PROMPTSHIP_APPLICATION_KEY", "k")
    assert (Client().gateway, Client()._key) == ("http://gateway:1", "k")


def test_a_bundle_holds_stable_versions_and_no_canary() -> None:
    made = make_bundle(CANARY, prompts=["support"], at_ms=0)
    (file := _File(made)).read_bytes()
    routes = read_bundle(file).table
    assert (routes.routes["support"].split, set(routes.versions)) == (None, {STABLE_DIGEST})
    with pytest.raises(NotFound, match="other"):
        make_bundle(CANARY, prompts=["support", "other"], at_ms=0)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"promptship_bundle":2,"exported_at_ms":0,"table":{"revision":1}}']
)
def test_what_is_no_bundle_says_what_to_do(content: bytes) -> None:
    with pytest.raises(ConfigError, match=r"prompts.json.*promptship client export"):
        read_bundle(_File(content))


async def test_a_table_it_cannot_read_leaves_the_known_one(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_bytes(make_bundle(table(), at_ms=0))
    (tmp_path / "bundle.json").write_bytes(make_bundle(table(), at_ms=0))
    newer = says(raw("200 OK", b'{"revision":9,"routes":{},"news":1}'))
    async with (
        Loopback(newer) as server,
        AsyncClient(server.url, cache=None, bundle=tmp_path / "bundle.json") as client,
    ):
        assert (await client.get("support")).choose().version == STABLE_DIGEST
        await becomes(lambda: "cannot be read here" in client.state.trouble)


class _File:
    name = "prompts.json"

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read_bytes(self) -> bytes:
        return self._content


def test_under_the_kill_switch_a_caller_may_send_variables_that_the_safe_version_does_not_know() -> None:
    safe = Prompt(
        name="support", model="gpt-x", messages=(Message(role="system", content="A person answers."),)
    )
    content = Version(digest=digest(safe), commit="c", content=canonical(safe))
    route = Route(prompt="support", revision=2, stable=content.digest, killed=content.digest)
    live = LiveTable(monotonic=Now().monotonic)
    live.take(RoutingTable(revision=2, routes={"support": route}, versions={content.digest: content}))
    call = handle(live, Now()).render(WHY, unit="user-17")
    assert (call.version, call.messages[0]["content"]) == (digest(safe), "A person answers.")
