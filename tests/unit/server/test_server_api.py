"""The API: the token first, then clear answers; bad input is never a crash."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promptship.adapters.secrets import gateway_token
from promptship.errors import ConfigError, Conflict, IllegalTransition, NotFound, Refused, Unavailable
from promptship.release.phase import Phase
from promptship.routing.table import RoutingTable
from promptship.server import create_app
from tests.support.plane import CANDIDATE, SECRET, STABLE, TOKEN, World, client, in_canary, opened, waiting

PROMPT = b"name: support-reply\nmodel: gpt-x\nmessages:\n  - role: user\n    content: Hello\n"

PATHS = [
    ("GET", "/api/routes"), ("GET", "/api/routes/events"), ("GET", "/api/releases"), ("GET", "/api/releases/r-1"),
    ("POST", "/api/releases"), ("POST", "/api/releases/r-1/approve"), ("POST", "/api/releases/r-1/reject"),
    ("POST", "/api/releases/r-1/cancel"), ("POST", "/api/prompts/p/rollback"), ("POST", "/api/prompts/p/kill"),
    ("GET", "/api/prompts/p/history"), ("GET", "/api/nothing"), ("DELETE", "/api/releases"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_without_the_token_there_is_only_a_401(method: str, path: str) -> None:
    asgi = World().asgi()
    for header in (
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer é",
    ):
        headers = {} if header is None else {b"Authorization": header.encode("latin-1")}
        async with client(asgi, token=None) as http:
            answer = await http.request(method, path, headers=headers)
        assert answer.status_code == 401, header
        assert answer.json()["error"]["type"] == "Unauthorized"


@pytest.mark.parametrize(("token", "secret"), [("", b"x"), ("  ", b"x"), ("x", b""), ("x", b" ")])
def test_an_empty_token_or_secret_is_refused_at_the_start(token: str, secret: bytes) -> None:
    with pytest.raises(ConfigError):
        create_app(World().app, token=token, secret=secret)


async def test_healthz_needs_nothing() -> None:
    async with client(World().asgi(), token=None) as http:
        answer = await http.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_routes_are_the_table() -> None:
    world = World()
    in_canary(world)
    async with client(world.asgi()) as http:
        table = RoutingTable.model_validate_json((await http.get("/api/routes")).content)
    assert table == world.app.routes.table()
    assert set(table.versions) == {STABLE.digest, CANDIDATE.digest}


async def test_lists_and_narrows_releases() -> None:
    world = World()
    first, second = in_canary(world), opened(world, commit="c" * 40)
    async with client(world.asgi()) as http:
        everything = (await http.get("/api/releases")).json()["releases"]
        canary = (await http.get("/api/releases?phase=canary&phase=promoted&prompt=support-reply")).json()[
            "releases"
        ]
        none = (await http.get("/api/releases?prompt=other")).json()["releases"]
        one = (await http.get("/api/releases?limit=1")).json()["releases"]
    assert {release["id"] for release in everything} == {first, second}
    assert [release["id"] for release in canary] == [first]
    assert none == []
    assert len(one) == 1


@pytest.mark.parametrize(
    "query",
    [
        "phase=unknown",
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=-1",
        "limit=²",
        "limit=",
        "prompt=%00",
        "prompt=A%20B",
    ],
)
async def test_a_wrong_query_is_a_400(query: str) -> None:
    async with client(World().asgi()) as http:
        answer = await http.get(f"/api/releases?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "ConfigError"


async def test_one_release_by_its_id_or_the_beginning_of_it() -> None:
    world = World()
    release_id = waiting(world)
    async with client(world.asgi()) as http:
        whole = (await http.get(f"/api/releases/{release_id}")).json()
        short = (await http.get(f"/api/releases/{release_id[:6]}?looks=false")).json()
    assert whole["release"]["phase"] == "awaiting_approval"
    assert whole["release"]["plan"]["approval"]["required"] == 1
    assert [event["seq"] for event in whole["events"]] == list(range(7))
    assert whole == short


@pytest.mark.parametrize("release", ["r-unknown", "%00", "a%20b", "..%2f..", "%F0%9F%99%82", "x" * 300])
async def test_an_unknown_release_is_a_4xx_everywhere(release: str) -> None:
    async with client(World().asgi()) as http:
        answers = [await http.get(f"/api/releases/{release}")]
        for verb in ("approve", "reject"):
            answers += [await http.post(f"/api/releases/{release}/{verb}", json={"who": "mira"})]
        answers.append(
            await http.post(f"/api/releases/{release}/cancel", json={"who": "mira", "reason": "x"})
        )
    assert {answer.status_code for answer in answers} <= {400, 404}
    assert all("message" in answer.json()["error"] for answer in answers)


async def test_approving_is_the_use_case_and_edits_the_card() -> None:
    world = World()
    release_id = waiting(world)
    asgi = world.asgi()
    async with client(asgi) as http:
        answer = await http.post(
            f"/api/releases/{release_id}/approve",
            json={"who": "MIRA@example.org", "reason": "good", "seq": 5},
        )
    await asgi.state.plane.drain()
    assert answer.status_code == 200
    assert answer.json()["release"]["approvers"] == ["mira"]
    assert world.app.release(release_id).phase is Phase.PROMOTED
    (card,) = world.approvals.cards.values()
    assert (card.ask, card.outcome) == (False, "Promoted by mira after 0 s")


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"who": "eve"}, 403, "not a configured approver"),
        ({"who": "mira", "seq": 4}, 403, "old"),
        ({"who": "mira", "seq": 2**70}, 400, "request body"),
        ({}, 400, "who"),
        ({"who": ""}, 400, "who"),
        ({"who": 5}, 400, "who"),
        ({"who": "mira\0"}, 400, "who"),
        ({"who": "mira", "reason": "x\0"}, 400, "reason"),
        ({"who": "mira", "reason": "x" * 3000}, 400, "reason"),
        ({"who": "mira", "seq": "5"}, 400, "seq"),
        ({"who": "mira", "via": "slack"}, 400, "via"),
    ],
)
async def test_a_decision_that_does_not_count(body: dict[str, Any], status: int, says: str) -> None:
    world = World()
    release_id = waiting(world)
    async with client(world.asgi()) as http:
        for verb in ("approve", "reject"):
            answer = await http.post(f"/api/releases/{release_id}/{verb}", json=body)
            assert (answer.status_code, answer.json()["error"]["message"].count(says) > 0) == (
                status,
                True,
            ), answer.text
    assert world.app.release(release_id).phase is Phase.AWAITING_APPROVAL


async def test_rejecting_gives_the_traffic_back_and_keeps_no_secret_in_the_reason() -> None:
    world = World()
    release_id = waiting(world)
    async with client(world.asgi()) as http:
        answer = await http.post(
            f"/api/releases/{release_id}/reject",
            json={"who": "noor", "reason": "leaks sk-abcdefghijklmnop1234"},
        )
    assert answer.status_code == 200
    release = world.app.release(release_id)
    assert (release.phase, release.reason) == (Phase.ROLLED_BACK, "rejected by noor: leaks [redacted]")
    route = world.app.routes.get("support-reply")
    assert route is not None
    assert route.split is None


async def test_cancelling_needs_a_reason_and_an_open_release() -> None:
    world = World()
    release_id = in_canary(world)
    async with client(world.asgi()) as http:
        for reason in ("", " ", "\0", None):
            body = {"who": "mira", "reason": reason}
            assert (await http.post(f"/api/releases/{release_id}/cancel", json=body)).status_code == 400
        body = {"who": "mira", "reason": "not today"}
        assert (await http.post(f"/api/releases/{release_id}/cancel", json=body)).status_code == 200
        again = await http.post(f"/api/releases/{release_id}/cancel", json=body)
    assert (again.status_code, again.json()["error"]["type"]) == (409, "IllegalTransition")
    assert world.app.ledger.events(release_id)[5].actor == "person:mira"


async def test_rolling_a_prompt_back() -> None:
    world = World()
    release_id = in_canary(world)
    async with client(world.asgi()) as http:
        body = {"who": "mira", "reason": "customers complain"}
        answer = await http.post("/api/prompts/support-reply/rollback", json=body)
        unknown = await http.post("/api/prompts/nothing/rollback", json=body)
        odd = await http.post("/api/prompts/A%20B/rollback", json=body)
    assert (answer.status_code, answer.json()) == (200, {"release_id": release_id})
    assert (unknown.status_code, odd.status_code) == (404, 400)
    assert world.app.release(release_id).phase is Phase.ROLLED_BACK


async def test_the_kill_switch_of_a_prompt() -> None:
    world = World()
    release_id = in_canary(world)
    path, body = "/api/prompts/support-reply/kill", {"who": "mira", "reason": "it insults people"}
    async with client(world.asgi()) as http:
        unnamed = await http.post(path, json=body)
        off = await http.post(path, json={**body, "undo": True})
        done = await http.post(path, json={**body, "to": STABLE.digest[:12]})
        table = (await http.get("/api/routes")).json()["routes"]["support-reply"]
        history = (await http.get("/api/prompts/support-reply/history")).json()
        undone = await http.post(path, json={**body, "undo": True})
        odd = await http.post(path, json={**body, "to": "../x"})
    assert (unnamed.status_code, off.status_code, odd.status_code) == (404, 403, 400)
    assert (done.json()["serves"], done.json()["ended"]) == (STABLE.digest, [release_id])
    assert (table["killed"], table["stable"], table["split"]) == (STABLE.digest, STABLE.digest, None)
    assert history["changes"][0]["release_id"] == release_id  # the canary's end, beneath the switch
    assert history["changes"][1]["reason"] == "kill switch on: it insults people"
    assert undone.json()["serves"] == STABLE.digest
    assert world.app.release(release_id).phase is Phase.ROLLED_BACK


async def test_opening_by_hand_is_one_release_however_often() -> None:
    world = World()
    commit = world.repository.commit({"prompts/support-reply.yaml": PROMPT})
    body = {"prompt": "support-reply", "ref": "main", "who": "mira"}
    async with client(world.asgi()) as http:
        first = await http.post("/api/releases", json=body)
        second = await http.post("/api/releases", json=body)
        no_prompt = await http.post("/api/releases", json={**body, "prompt": "other"})
        no_ref = await http.post("/api/releases", json={**body, "ref": "nowhere"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == {**second.json(), "created": True}
    assert (no_prompt.status_code, no_ref.status_code) == (404, 404)
    assert world.app.release(first.json()["id"]).commit == commit
    assert world.orchestrator.started == [first.json()["id"]]


async def test_the_history_of_a_prompt() -> None:
    world = World()
    release_id = in_canary(world)
    async with client(world.asgi()) as http:
        history = (await http.get("/api/prompts/support-reply/history")).json()
        unknown = (await http.get("/api/prompts/unknown/history")).json()
    assert history["route"]["split"]["release_id"] == release_id
    assert [change["candidate"] for change in history["changes"]] == [CANDIDATE.digest, None]
    assert [release["id"] for release in history["releases"]] == [release_id]
    assert unknown == {"prompt": "unknown", "route": None, "changes": [], "releases": []}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused("no"), 403), (NotFound("no"), 404), (IllegalTransition("no"), 409), (Conflict("no"), 409),
        (ConfigError([]), 400), (Unavailable("no", retry_after_s=6.6), 503), (RuntimeError("a secret detail"), 500),
    ],
)  # fmt: skip
async def test_every_error_has_its_status(error: Exception, status: int) -> None:
    world = World()

    class Broken:
        def summaries(self, **_: object) -> None:
            raise error

    world.ledger = Broken()  # type: ignore[assignment]
    async with client(world.asgi()) as http:
        answer = await http.get("/api/releases")
    assert answer.status_code == status
    assert "secret detail" not in answer.text
    assert set(answer.json()["error"]) == {"type", "message"}
    assert answer.headers.get("Retry-After") == ("7" if status == 503 else None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"5",
        b"\xff",
        b'{"who": "\\ud800"}',
        b"[" * 100_000,
        b'{"who": NaN}',
        b'"' + b"x" * 999,
    ],
)
async def test_malformed_json_is_a_400(body: bytes) -> None:
    world = World()
    release_id = waiting(world)
    async with client(world.asgi()) as http:
        answer = await http.post(f"/api/releases/{release_id}/approve", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "ConfigError"


async def test_a_body_that_is_too_large_is_a_413_declared_or_not() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b" " * 100_000

    async with client(World().asgi()) as http:
        for content in (b" " * 1_000_001, endless()):
            answer = await http.post("/api/releases", content=content)
            assert answer.status_code == 413


async def test_wrong_paths_and_methods_answer_in_json() -> None:
    async with client(World().asgi()) as http:
        missing, method = await http.get("/api/nothing"), await http.get("/slack/interactions")
    assert (missing.status_code, missing.json()["error"]["type"]) == (404, "NotFound")
    assert (method.status_code, method.json()["error"]["type"]) == (405, "BadRequest")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["who", "reason", "seq", "prompt", "ref", "x"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=json_values, path=st.sampled_from([path for method, path in PATHS if method == "POST"]))
async def test_no_json_makes_a_5xx(body: Any, path: str) -> None:
    async with client(World().asgi()) as http:
        answer = await http.post(path, json=body)
    assert 400 <= answer.status_code < 500


async def test_a_gateways_token_reads_routes_and_nothing_else() -> None:
    world = World()
    headers = {"Authorization": f"Bearer {gateway_token(SECRET)}"}
    transport = httpx.ASGITransport(create_app(world.app, token=TOKEN, secret=SECRET))
    async with httpx.AsyncClient(transport=transport, base_url="http://plane", headers=headers) as http:
        assert (await http.get("/api/routes")).status_code == 200
        for path in ("/api/releases", "/api/prompts/support/history"):
            assert (await http.get(path)).status_code == 401
        assert (await http.post("/api/releases/r-x/approve", json={"who": "mira"})).status_code == 401
