"""Announced pushes: signed, fresh, of the released branch, and any number of times."""

import json
from datetime import timedelta
from typing import Any

import pytest

from promptship.adapters.hooks import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign
from tests.support.plane import SECRET, ZEROS, World, client

PROMPT = b"name: support-reply\nmodel: gpt-x\nmessages:\n  - role: user\n    content: Hello\n"


def pushed(world: World) -> dict[str, Any]:
    before = world.repository.commit({"README.md": b"x"})
    after = world.repository.commit({"prompts/support-reply.yaml": PROMPT, "prompts/refund.md": b"Refund.\n"})
    return {"before": before, "after": after, "ref": "refs/heads/main"}


async def send(world: World, body: bytes, headers: dict[str, str] | None = None, sender: str = "git") -> Any:
    headers = sign(SECRET, body, world.clock.now()) if headers is None else headers
    async with client(world.asgi(), token=None) as http:
        return await http.post(f"/hooks/{sender}", content=body, headers=headers)


async def test_a_push_opens_a_release_per_changed_prompt() -> None:
    world = World()
    push = pushed(world)
    answer = await send(world, json.dumps(push).encode())
    assert answer.status_code == 202
    releases = answer.json()["releases"]
    assert [(release["prompt"], release["created"]) for release in releases] == [
        ("refund", True),
        ("support-reply", True),
    ]
    for release in releases:
        event = world.app.ledger.events(release["id"])[0]
        assert event.actor == "push:dev@example.com"
        assert world.app.release(release["id"]).commit == push["after"]
    assert sorted(world.orchestrator.started) == sorted(release["id"] for release in releases)


async def test_the_same_announcement_again_opens_nothing_again() -> None:
    world = World()
    body = json.dumps(pushed(world)).encode()
    first, replayed = await send(world, body), await send(world, body)
    world.clock.advance(120)
    later = await send(world, body)
    ids = [release["id"] for release in first.json()["releases"]]
    for answer in (replayed, later):
        assert answer.status_code == 202
        assert answer.json()["releases"] == [
            {**release, "created": False} for release in first.json()["releases"]
        ]
    assert [len(world.app.ledger.events(release_id)) for release_id in ids] == [2, 2]  # requested, linted


async def test_an_orchestrator_that_is_down_does_not_lose_the_push() -> None:
    world = World()
    world.orchestrator.down = True
    answer = await send(world, json.dumps(pushed(world)).encode())
    assert answer.status_code == 202
    assert len(answer.json()["releases"]) == 2


@pytest.mark.parametrize(
    "change", ["signature", "key", "body", "old", "future", "timestamp", "none", "empty"]
)
async def test_what_is_forged_or_stale_is_a_401_and_opens_nothing(change: str) -> None:
    world = World()
    body = json.dumps(pushed(world)).encode()
    now = world.clock.now()
    headers = {
        "signature": sign(SECRET, body, now) | {SIGNATURE_HEADER: "sha256=" + "0" * 64},
        "key": sign(b"another", body, now),
        "body": sign(SECRET, body + b" ", now),
        "old": sign(SECRET, body, now - timedelta(seconds=301)),
        "future": sign(SECRET, body, now + timedelta(seconds=301)),
        "timestamp": sign(SECRET, body, now - timedelta(days=1))
        | {TIMESTAMP_HEADER: str(int(now.timestamp()))},
        "none": {},
        "empty": {SIGNATURE_HEADER: "", TIMESTAMP_HEADER: ""},
    }[change]
    answer = await send(world, body, headers)
    assert answer.status_code == 401
    assert world.app.ledger.summaries() == [] or not list(world.app.ledger.summaries())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ref": "refs/heads/feature"}, "refs/heads/feature is not released"),
        ({"ref": "refs/tags/main"}, "refs/tags/main is not released"),
        ({"ref": "main"}, "not released"),
        ({"after": ZEROS}, "main was deleted"),
    ],
)
async def test_other_branches_and_deletions_are_ignored_and_say_so(
    changes: dict[str, str], says: str
) -> None:
    world = World()
    answer = await send(world, json.dumps({**pushed(world), **changes}).encode())
    assert answer.status_code == 202
    assert says in answer.json()["ignored"]
    assert list(world.app.ledger.summaries()) == []


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"\xff", b"null", b'{"before": "x"}',
        json.dumps({"before": ZEROS, "after": "A" * 40, "ref": "refs/heads/main"}).encode(),
        json.dumps({"before": ZEROS, "after": "--upload-pack=x", "ref": "refs/heads/main"}).encode(),
        json.dumps({"before": ZEROS, "after": "a" * 40, "ref": "refs/heads/main\0"}).encode(),
        json.dumps({"before": ZEROS, "after": "a" * 40, "ref": 5}).encode(),
        json.dumps({"before": ZEROS, "after": "a" * 40, "ref": "refs/heads/main", "more": 1}).encode(),
    ],
)  # fmt: skip
async def test_a_signed_body_that_is_no_push_is_a_400(body: bytes) -> None:
    answer = await send(World(), body)
    assert answer.status_code == 400


async def test_a_commit_that_the_repository_does_not_have_is_a_404() -> None:
    world = World()
    answer = await send(world, json.dumps({**pushed(world), "after": "9" * 40}).encode())
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "NotFound")


async def test_what_was_there_before_may_be_unknown_after_a_forced_push() -> None:
    world = World()
    answer = await send(world, json.dumps({**pushed(world), "before": "9" * 40}).encode())
    assert [one["prompt"] for one in answer.json()["releases"]] == ["refund", "support-reply"]


async def test_an_oversized_announcement_is_a_413_before_it_is_verified() -> None:
    answer = await send(World(), b" " * 1_000_001, {})
    assert answer.status_code == 413


async def test_an_unknown_sender_is_a_404() -> None:
    answer = await send(World(), b"{}", {}, sender="ftp")
    assert answer.status_code == 404


async def test_the_bearer_token_does_not_replace_the_signature() -> None:
    world = World()
    body = json.dumps(pushed(world)).encode()
    async with client(world.asgi()) as http:
        assert (await http.post("/hooks/git", content=body)).status_code == 401
