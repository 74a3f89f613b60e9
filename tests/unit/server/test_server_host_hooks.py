"""Webhooks of GitHub and GitLab: only genuine ones, only what is about us, and never more than reference, before and after."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from promptship.adapters.memory.hosts import MemoryHost
from promptship.lifecycle import reviewing
from promptship.lifecycle.app import App
from promptship.server import create_app
from promptship.settings import GitHubSettings, GitLabSettings, Settings
from tests.support.plane import SECRET, TOKEN, ZEROS, World, client

HUB = "the secret of the webhook"
LAB = "the token of the webhook"
KEY = "whsec_" + base64.b64encode(b"a key of twenty-four bytes").decode()
PROMPT = b"name: support-reply\nmodel: gpt-x\nmessages:\n  - role: user\n    content: Hello\n"
HEAD = "c" * 40


class Hosted(World):
    """A control plane that reviews pull requests of both hosts."""

    @property
    def app(self) -> App:
        one = super().app
        fields = {name: getattr(one, name) for name in App.__slots__}
        return App(**{**fields, "hosts": {"github": MemoryHost(), "gitlab": MemoryHost()}})

    def asgi(self) -> Any:
        return create_app(self.app, token=TOKEN, secret=SECRET, slack_secret="s" * 20)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Hosted:
    monkeypatch.setenv("GITHUB_WEBHOOK_SECRET", HUB)
    monkeypatch.setenv("GITLAB_WEBHOOK_TOKEN", LAB)
    monkeypatch.delenv("GITLAB_SIGNING_KEY", raising=False)
    hosts = {
        "github": GitHubSettings(repository="acme/prompts"),
        "gitlab": GitLabSettings(project="acme/prompts"),
    }
    return Hosted(settings=Settings(**hosts))  # type: ignore[arg-type]


def pushed(world: World) -> dict[str, Any]:
    before = world.repository.commit({"README.md": b"x"})
    after = world.repository.commit({"prompts/support-reply.yaml": PROMPT})
    return {"before": before, "after": after, "ref": "refs/heads/main"}


def hub(body: bytes, event: str = "push", *, secret: str = HUB, **more: str) -> dict[str, str]:
    mac = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    named = {"X-GitHub-Event": event, "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958"}
    return {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={mac}", **named, **more}


def hub_push(world: World, **more: Any) -> bytes:
    return json.dumps({**pushed(world), "repository": {"full_name": "Acme/prompts"}, **more}).encode()


def hub_pull(action: str = "opened", name: str = "acme/prompts") -> bytes:
    told = {
        "action": action,
        "pull_request": {"number": 7, "head": {"sha": HEAD}},
        "repository": {"full_name": name},
    }
    return json.dumps(told).encode()


def standard(world: World, body: bytes, *, key: str = KEY, age_s: int = 0, extra: str = "") -> dict[str, str]:
    stamp, name = str(int(world.clock.now().timestamp()) - age_s), "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"
    secret = base64.b64decode(key.removeprefix("whsec_"))
    mac = base64.b64encode(hmac.new(secret, f"{name}.{stamp}.".encode() + body, hashlib.sha256).digest())
    signature = f"{extra}v1,{mac.decode()}"
    return {
        "webhook-id": name, "webhook-timestamp": stamp, "webhook-signature": signature, "X-Gitlab-Event": "Push Hook",
    }  # fmt: skip


def lab_push(world: World) -> bytes:
    return json.dumps({**pushed(world), "project": {"id": 5, "path_with_namespace": "acme/prompts"}}).encode()


async def send(world: World, sender: str, body: bytes, headers: dict[str, str]) -> Any:
    async with client(world.asgi(), token=None) as http:
        return await http.post(f"/hooks/{sender}", content=body, headers=headers)


async def test_a_push_to_github_opens_releases_once_however_often_it_is_delivered(world: Hosted) -> None:
    body = hub_push(world, commits=[{"modified": ["nonsense"]}], head_commit=None, pusher={"name": "x"})
    first, again = [await send(world, "github", body, hub(body)) for _ in range(2)]
    assert [one["created"] for one in first.json()["releases"]] == [True]
    assert [one["created"] for one in again.json()["releases"]] == [False]
    assert world.repository.fetched == [(), ()]


async def test_a_delivery_as_a_form_is_read_too(world: Hosted) -> None:
    from urllib.parse import urlencode

    body = urlencode({"payload": hub_push(world).decode()}).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await send(world, "github", body, {**hub(body), **kind})
    assert len(answer.json()["releases"]) == 1


FORGED: dict[str, Callable[[bytes], Any]] = {
    "another secret": lambda body: hub(body, secret="guess"),
    "another body": lambda body: hub(body + b" "),
    "SHA-1 only": lambda body: {
        **hub(body),
        "X-Hub-Signature-256": "",
        "X-Hub-Signature": "sha1=" + "0" * 40,
    },
    "nothing": lambda body: {},
    "no ASCII": lambda body: {**hub(body), "X-Hub-Signature-256": "sha256=ä".encode("latin-1")},
}


@pytest.mark.parametrize("how", FORGED)
async def test_what_github_did_not_sign_is_a_401_and_changes_nothing(world: Hosted, how: str) -> None:
    body = hub_push(world)
    answer = await send(world, "github", body, FORGED[how](body))
    assert answer.status_code == 401
    assert list(world.app.ledger.summaries()) == []
    assert world.repository.fetched == []


@pytest.mark.parametrize("sender", ["github", "gitlab"])
async def test_without_a_configured_secret_nobody_comes_in(
    world: Hosted, sender: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_WEBHOOK_SECRET", " ")
    monkeypatch.delenv("GITLAB_WEBHOOK_TOKEN")
    body = hub_push(world)
    headers = {**hub(body, secret=""), "X-Gitlab-Token": "", "X-Gitlab-Event": "Push Hook"}
    answer = await send(world, sender, body, headers)
    assert answer.status_code == 401
    assert "configured" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("event", "change", "says"),
    [
        ("ping", {}, "ping"),
        ("issues", {}, "issues is not used"),
        ("push", {"ref": "refs/tags/v1"}, "refs/tags/v1 is not released"),
        ("push", {"ref": "refs/heads/ä b"}, "refs/heads/ä b is not released"),
        ("push", {"after": ZEROS}, "main was deleted"),
        ("push", {"repository": {"full_name": "acme/other"}}, "about acme/other"),
    ],
)
async def test_what_is_ignored_says_why(world: Hosted, event: str, change: dict[str, Any], says: str) -> None:
    body = hub_push(world, **change)
    answer = await send(world, "github", body, hub(body, event))
    assert answer.status_code == 202
    assert says in answer.json()["ignored"]
    assert list(world.app.ledger.summaries()) == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b'{"ref": 1}', b"\xff", b'{"before": "--x"}'])
@pytest.mark.parametrize("event", ["push", "pull_request"])
async def test_a_signed_body_that_is_no_event_is_a_400(world: Hosted, body: bytes, event: str) -> None:
    assert (await send(world, "github", body, hub(body, event))).status_code == 400


async def test_a_delivery_without_an_id_is_a_400(world: Hosted) -> None:
    body = hub_push(world)
    headers = {**hub(body), "X-GitHub-Delivery": ""}
    assert (await send(world, "github", body, headers)).status_code == 400


async def test_a_remote_that_is_down_is_a_503_and_the_same_delivery_works_later(world: Hosted) -> None:
    body = hub_push(world)
    world.repository.down = True
    assert (await send(world, "github", body, hub(body))).status_code == 503
    world.repository.down = False
    assert len((await send(world, "github", body, hub(body))).json()["releases"]) == 1


async def test_a_remote_that_hangs_keeps_nobody_else_waiting(
    world: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptship.server.hooks.ANSWER_S", 0.01)
    body, answered = hub_push(world), threading.Event()
    world.repository.fetch = lambda *_: answered.wait(30)  # type: ignore[method-assign, assignment]
    async with client(world.asgi(), token=None) as http:
        told = [await http.post("/hooks/github", content=body, headers=hub(body)) for _ in range(50)]
        try:
            alive = await asyncio.wait_for(http.get("/healthz"), 10)
        finally:
            answered.set()
    assert {one.status_code for one in told} == {202}
    assert alive.status_code == 200


async def test_a_pull_request_is_reviewed_once_per_head(world: Hosted) -> None:
    body = hub_pull()
    for action in ("opened", "synchronize", "reopened"):
        body = hub_pull(action)
        answer = await send(world, "github", body, hub(body, "pull_request"))
        assert answer.json()["review"] == {
            "host": "github", "number": 7, "head": HEAD, "created": action == "opened"
        }  # fmt: skip
    assert [asked for _, asked in world.orchestrator.reviews.values()] == [("github", 7, HEAD)]


@pytest.mark.parametrize(
    ("body", "says"),
    [(hub_pull("closed"), "closed"), (hub_pull("labeled"), "labeled"), (hub_pull(name="a/b"), "about a/b")],
)
async def test_other_actions_of_a_pull_request_ask_for_nothing(world: Hosted, body: bytes, says: str) -> None:
    answer = await send(world, "github", body, hub(body, "pull_request"))
    assert says in answer.json()["ignored"]
    assert world.orchestrator.reviews == {}


async def test_a_review_whose_run_could_not_be_started_is_started_later(world: Hosted) -> None:
    world.orchestrator.down = True
    body = hub_pull()
    assert (await send(world, "github", body, hub(body, "pull_request"))).status_code == 202
    world.orchestrator.down = False
    assert reviewing.restart(world.app) == 0, "it was asked for in this instant"
    world.clock.advance(61)
    ledger, lease = world.app.ledger, reviewing.lease("github", 7)
    assert ledger.acquire(lease, "a run", ttl_s=60, at=world.clock.now())
    assert reviewing.restart(world.app) == 0, "a live run holds it"
    ledger.let_go(lease, "a run")
    assert reviewing.restart(world.app) == 1
    assert [asked for _, asked in world.orchestrator.reviews.values()] == [("github", 7, HEAD)]


async def test_gitlabs_secret_token_lets_in(world: Hosted) -> None:
    body = lab_push(world)
    headers = {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": LAB}
    answer = await send(world, "gitlab", body, headers)
    assert len(answer.json()["releases"]) == 1
    assert (await send(world, "gitlab", body, {**headers, "X-Gitlab-Token": "x"})).status_code == 401


async def test_gitlabs_signature_lets_in_also_among_several(
    world: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITLAB_SIGNING_KEY", KEY)
    body = lab_push(world)
    for extra in ("", "v1,AAAA ", "v2,x "):
        answer = await send(world, "gitlab", body, standard(world, body, extra=extra))
        assert len(answer.json()["releases"]) == 1


UNSIGNED: dict[str, Callable[[World, bytes], Any]] = {
    "stale": lambda world, body: standard(world, body, age_s=301),
    "from the future": lambda world, body: standard(world, body, age_s=-301),
    "another body": lambda world, body: standard(world, body + b" "),
    "another key": lambda world, body: standard(
        world, body, key="whsec_" + base64.b64encode(b"x" * 24).decode()
    ),
    "another id": lambda world, body: {**standard(world, body), "webhook-id": "msg_2"},
    "another time": lambda world, body: {**standard(world, body), "webhook-timestamp": "1700000000"},
    "no time": lambda world, body: {**standard(world, body), "webhook-timestamp": "now"},
    "the token only": lambda world, body: {"X-Gitlab-Token": LAB, "X-Gitlab-Event": "Push Hook"},
}


@pytest.mark.parametrize("how", UNSIGNED)
async def test_with_a_signing_key_what_is_not_signed_is_a_401(
    world: Hosted, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITLAB_SIGNING_KEY", KEY)
    body = lab_push(world)
    assert (await send(world, "gitlab", body, UNSIGNED[how](world, body))).status_code == 401
    assert list(world.app.ledger.summaries()) == []


@pytest.mark.parametrize(("key", "forged"), [("whsec_no base64!", KEY), ("whsec_", "")])
async def test_a_signing_key_that_is_none_lets_nobody_in(
    world: Hosted, key: str, forged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITLAB_SIGNING_KEY", key)
    body = lab_push(world)
    assert (await send(world, "gitlab", body, standard(world, body, key=forged))).status_code == 401


@pytest.mark.parametrize(
    ("event", "action", "reviewed"),
    [
        ("Merge Request Hook", "open", 1),
        ("Merge Request Hook", "update", 1),
        ("Merge Request Hook", "close", 0),
        ("Tag Push Hook", "open", 0),
    ],
)
async def test_merge_requests_are_reviewed(world: Hosted, event: str, action: str, reviewed: int) -> None:
    merge = {"iid": 7, "action": action, "last_commit": {"id": HEAD}}
    told = {"object_attributes": merge, "project": {"id": 5, "path_with_namespace": "acme/prompts"}}
    headers = {"X-Gitlab-Event": event, "X-Gitlab-Token": LAB}
    answer = await send(world, "gitlab", json.dumps(told).encode(), headers)
    assert answer.status_code == 202
    assert len(world.orchestrator.reviews) == reviewed
    assert bool(answer.json().get("ignored")) == (reviewed == 0)
