"""What the gateway offers to applications that ask models by themselves: routes, reports, OpenFeature's evaluations."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promptship.prompts.digest import canonical, digest
from promptship.prompts.model import Variable
from promptship.release.policy import Experiment
from promptship.routing.observation import Observation
from promptship.routing.split import takes_candidate
from promptship.routing.table import Route, RoutingTable, Version
from promptship.routing.token import read, sign
from tests.support.gateway import (
    AT,
    CANDIDATE,
    CANDIDATE_DIGEST,
    SALT,
    SECRET,
    STABLE_DIGEST,
    Bench,
    Heard,
    ListSpool,
    bench,
    prompt,
    table,
)

NOW_MS = int(AT.timestamp() * 1000)
CANARY = table(revision=3, candidate=CANDIDATE, share=0.5, lease_s=30.0)
FLAGS = "/ofrep/v1/evaluate/flags"
LINE: dict[str, Any] = {
    "id": "01a20536-8863-7073-9e24-90440a44af79", "at_ms": NOW_MS, "prompt": "support", "version": STABLE_DIGEST,
    "arm": "stable", "release": "r-1", "stage": 0, "unit": "78c0821d6f57be32", "model": "gpt-x", "latency_ms": 10.5,
    "status": 200,
}  # fmt: skip


async def evaluated(gateway: Bench, key: str = "support", **context: Any) -> Heard:
    return await gateway.ask("POST", f"{FLAGS}/{key}", orjson.dumps({"context": context}))


async def reported(gateway: Bench, stream: str = "observations", *items: Any) -> Heard:
    return await gateway.ask("POST", "/v1/observations", orjson.dumps({stream: items}))


# Routes ---------------------------------------------------------------------------------------------------------------


async def test_routes_are_passed_on_with_what_is_left_of_their_leases(tmp_path: Path) -> None:
    gateway = bench(tmp_path, routes=CANARY)
    gateway.now.seconds += 12.0
    heard = await gateway.ask("GET", "/api/routes")
    told = RoutingTable.model_validate_json(heard.body)
    split = told.routes["support"].split
    assert split is not None
    assert (told.revision, told.versions, split.lease_s) == (3, CANARY.versions, 18.0)
    assert heard.headers["age"] == "12"


async def test_a_gateway_without_routes_tells_none(tmp_path: Path) -> None:
    gateway = bench(tmp_path)
    gateway.app._live._known = type(gateway.app._live._known)()
    for path in ("/api/routes", "/api/routes/events"):
        assert (await gateway.ask("GET", path)).status == 503
    assert (await evaluated(gateway)).status == 503


async def streamed(gateway: Bench, path: str, *acts: Any) -> str:
    """What a stream says while these things happen, until it is ended."""
    asking = asyncio.create_task(gateway.ask("GET", path, leave=asyncio.Event()))
    for act in acts:
        for _ in range(10):
            await asyncio.sleep(0)
        act()
        gateway.app.news.wake()
    for _ in range(10):
        await asyncio.sleep(0)
    gateway.app.news.close()
    heard = await asking
    assert heard.headers["content-type"] == "text/event-stream"
    return heard.body.decode()


async def test_a_stream_tells_changes_and_leases_and_nothing_when_it_hears_nothing(tmp_path: Path) -> None:
    gateway = bench(tmp_path, routes=CANARY)

    def later() -> None:
        gateway.now.seconds += 2.0

    def cut_off() -> None:
        gateway.now.seconds += 10.0

    told = await streamed(
        gateway, "/api/routes/events", later, cut_off, lambda: gateway.know(table(revision=4))
    )
    first, lease, comment, second = told.strip("\n").split("\n\n")
    assert first.startswith('event: table\ndata: {"revision":3')
    assert lease == 'event: lease\ndata: {"revision":3,"leases":{"support":28.0}}'
    assert comment == ":"
    assert second.startswith('event: table\ndata: {"revision":4')


async def test_an_ending_gateway_begins_no_stream(tmp_path: Path) -> None:
    gateway = bench(tmp_path, routes=CANARY)
    gateway.app.news.close()
    assert (await gateway.ask("GET", "/api/routes/events")).status == 503


async def test_a_follower_that_leaves_is_forgotten(tmp_path: Path) -> None:
    gateway = bench(tmp_path, routes=CANARY)
    leave = asyncio.Event()
    asking = asyncio.create_task(gateway.ask("GET", "/api/routes/events", leave=leave))
    for _ in range(10):
        await asyncio.sleep(0)
    assert gateway.app.news._streams == 1
    leave.set()
    await asking
    assert gateway.app.news._streams == 0


# Reports --------------------------------------------------------------------------------------------------------------


async def test_reports_are_written_as_they_came(tmp_path: Path) -> None:
    gateway = bench(tmp_path, costs=lambda model, tokens_in, tokens_out, *_: 0.25)
    said = {name: LINE[name] for name in ("prompt", "version", "arm", "release", "stage", "unit", "at_ms")}
    said |= {"id": "01a20536-8863-7073-9e24-90440a44af70", "request": LINE["id"], "request_at_ms": NOW_MS}
    heard = await gateway.ask(
        "POST",
        "/v1/observations",
        orjson.dumps({"observations": [LINE], "feedback": [{**said, "kind": "escalated", "value": True}]}),
    )
    assert (heard.status, heard.json) == (202, {"taken": 2, "refused": []})
    observation, feedback = gateway.spool.lines
    assert observation == Observation(**LINE, error=False, cost_usd=0.25, decision="in")
    assert (feedback.id, feedback.request) == (said["id"], LINE["id"])  # type: ignore[union-attr]


WRONG: dict[str, list[Any]] = {
    "id": ["", "7", "x" * 36], "at_ms": [NOW_MS - 24 * 3_600_000, NOW_MS + 400_000, -1, "1"], "prompt": ["", "a b", 1],
    "version": ["v1", STABLE_DIGEST.upper()], "arm": ["other"], "release": [None, "r 1"], "stage": [None, -1, 1.5],
    "unit": ["user-7", "78c0821d6f57be3"], "model": ["a model", "m" * 129], "latency_ms": [-1.0, 1e10, None],
    "status": [1000, "200"], "error_type": ["two words", "e" * 41], "text": ["hello"], "tokens_in": [-1], "decision": ["because of hello"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
async def test_one_wrong_report_is_refused_by_itself(name: str, value: object, tmp_path: Path) -> None:
    gateway = bench(tmp_path)
    heard = await reported(gateway, "observations", {**LINE, name: value}, LINE)
    assert (heard.status, heard.json["taken"], len(gateway.spool.lines)) == (202, 1, 1)
    (refused,) = heard.json["refused"]
    assert refused["at"] == "observations[0]"
    assert "hello" not in heard.body.decode()


@given(item=st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*LINE, "token", "kind", "value", "x"]), inner, max_size=4)))  # fmt: skip
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_whatever_is_reported_is_answered(item: object, tmp_path: Path) -> None:
    gateway = bench(tmp_path)
    for body in (item, {"observations": [item]}, {"feedback": [item]}):
        heard = await gateway.ask("POST", "/v1/observations", orjson.dumps(body))
        assert heard.status in {202, 400}
        assert gateway.spool.lines == []


async def test_a_disk_that_does_not_take_reports_is_told(tmp_path: Path) -> None:
    gateway = bench(tmp_path, spool=ListSpool(broken=True))
    assert (await reported(gateway, "observations", LINE)).status == 503


async def test_reports_and_routes_want_the_applications_key(tmp_path: Path) -> None:
    gateway = bench(tmp_path, applications={"web": hashlib.sha256(b"k").hexdigest()})
    paths = [
        ("POST", "/v1/observations"),
        ("GET", "/api/routes"),
        ("POST", FLAGS),
        ("POST", f"{FLAGS}/support"),
    ]
    for method, path in paths:
        assert (await gateway.ask(method, path, b"{}")).status == 401
        assert (await gateway.ask(method, path, b"{}", headers={"x-api-key": "k"})).status in {200, 202}


# OpenFeature ----------------------------------------------------------------------------------------------------------


@given(unit=st.text(max_size=20), share=st.sampled_from([0.0, 0.5, 1.0]), lapsed=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
async def test_a_flag_is_split_exactly_when_a_named_unit_meets_a_live_canary(
    unit: str, share: float, lapsed: bool, tmp_path: Path
) -> None:
    gateway = bench(tmp_path, routes=table(candidate=CANDIDATE, share=share, lease_s=30.0))
    gateway.now.seconds += 31.0 * lapsed
    flag = (await evaluated(gateway, targetingKey=unit)).json
    in_canary = bool(unit) and not lapsed
    assert flag["reason"] == ("SPLIT" if in_canary else "STATIC")
    takes = in_canary and takes_candidate(SALT, unit, share)
    wanted = CANDIDATE_DIGEST if takes else STABLE_DIGEST
    assert (flag["value"]["version"], flag["variant"]) == (wanted, wanted[:12])
    assert ("release" in flag["metadata"]) == in_canary
    claims = read(SECRET, flag["metadata"]["feedbackToken"])
    assert (claims.version, claims.request) == (wanted, flag["metadata"]["requestId"])


async def test_a_context_says_what_the_policy_asks_for(tmp_path: Path) -> None:
    policy = Experiment(consent="required", segments={"application": ("web",)}, disclosure="A trial runs.")
    routes = table(candidate=CANDIDATE, share=1.0)
    route = routes.routes["support"]
    assert route.split is not None
    split = route.split.model_copy(update={"policy": policy})
    routes = routes.model_copy(update={"routes": {"support": route.model_copy(update={"split": split})}})
    keys = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("web", "shop")}
    gateway = bench(tmp_path, routes=routes, applications=keys)

    async def ask(key: str, **context: Any) -> dict[str, Any]:
        body = orjson.dumps({"context": {"targetingKey": "u", "application": "web", **context}})
        heard = await gateway.ask("POST", f"{FLAGS}/support", body, headers={"x-api-key": key})
        found: dict[str, Any] = heard.json
        return found

    agreed = await ask("web", consent=True, Email="a@b.c", cart=[1])
    assert (agreed["reason"], agreed["metadata"]["disclosure"]) == ("SPLIT", "A trial runs.")
    for key, context in (("web", {}), ("web", {"consent": "true"}), ("shop", {"consent": True})):
        assert (await ask(key, **context))["reason"] == "STATIC"
    heard = await gateway.ask("GET", "/api/routes", headers={"x-api-key": "shop"})
    assert heard.headers["x-promptship-application"] == "shop"
    assert RoutingTable.model_validate_json(heard.body).routes["support"].split == split


async def test_a_value_is_the_version_or_what_it_renders_to(tmp_path: Path) -> None:
    gateway = bench(tmp_path)
    plain = (await evaluated(gateway)).json["value"]
    assert plain["messages"] == [{"role": "system", "content": "Stable. {{ question }}"}]
    assert (plain["rendered"], plain["variables"]) == (
        False,
        {"question": {"type": "string", "required": True}},
    )
    rendered = (await evaluated(gateway, variables={"question": "why?"})).json["value"]
    assert rendered == {
        "prompt": "support", "version": STABLE_DIGEST, "rendered": True, "model": "gpt-x",
        "messages": [{"role": "system", "content": "Stable. why?"}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "context", "status", "code"),
    [
        ("nothing", {}, 404, "FLAG_NOT_FOUND"),
        ("a/b", {}, 404, "FLAG_NOT_FOUND"),
        ("support@", {}, 404, "FLAG_NOT_FOUND"),
        ("support@000000", {}, 404, "FLAG_NOT_FOUND"),
        ("support", {"targetingKey": 7}, 400, "INVALID_CONTEXT"),
        ("support", {"targetingKey": "u" * 513}, 400, "INVALID_CONTEXT"),
        ("support", {"variables": []}, 400, "INVALID_CONTEXT"),
        ("support", {"variables": {"question": 1}}, 400, "INVALID_CONTEXT"),
        ("support", {"variables": {}}, 400, "INVALID_CONTEXT"),
    ],
)
async def test_an_evaluation_that_fails_says_so_in_ofreps_words(
    key: str, context: dict[str, Any], status: int, code: str, tmp_path: Path
) -> None:
    heard = await evaluated(bench(tmp_path, routes=CANARY), key, **context)
    assert (heard.status, heard.json["key"], heard.json["errorCode"]) == (status, key, code)
    assert heard.json["errorDetails"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"context": 1}'])
async def test_a_body_that_is_none_is_refused(body: bytes, tmp_path: Path) -> None:
    heard = await bench(tmp_path).ask("POST", FLAGS, body)
    assert (heard.status, heard.json["errorCode"] in {"PARSE_ERROR", "INVALID_CONTEXT"}) == (400, True)


async def test_under_the_kill_switch_a_flag_renders_with_the_variables_the_safe_version_knows(
    tmp_path: Path,
) -> None:
    safe = prompt("A person answers.", variables={})
    content = Version(digest=digest(safe), commit="c", content=canonical(safe))
    route = Route(prompt="support", revision=9, stable=content.digest, killed=content.digest)
    gateway = bench(tmp_path, routes=CANARY)
    gateway.know(RoutingTable(revision=9, routes={"support": route}, versions={content.digest: content}))
    heard = await evaluated(gateway, targetingKey="user-7", variables={"question": "why?"})
    assert heard.status == 200
    assert heard.json["value"]["messages"][0]["content"] == "A person answers."


async def test_pins_and_other_names_are_flags_too(tmp_path: Path) -> None:
    gateway = bench(tmp_path, routes=CANARY, prompt_ids={"pmpt_1": "support"})
    pinned = (await evaluated(gateway, f"support@{CANDIDATE_DIGEST[:8]}", targetingKey="u")).json
    assert (pinned["value"]["version"], pinned["reason"]) == (CANDIDATE_DIGEST, "STATIC")
    assert (await evaluated(gateway, "pmpt_1")).json["key"] == "pmpt_1"


@pytest.mark.parametrize("both_refuse", [True, False])
async def test_variables_that_only_the_candidate_refuses_are_seen_by_the_canary(
    both_refuse: bool, tmp_path: Path
) -> None:
    demanding = prompt("{{ question }} {{ name }}", variables={"question": Variable(), "name": Variable()})
    gateway = bench(tmp_path, routes=table(candidate=demanding, share=1.0))
    given_ = {} if both_refuse else {"question": "why?"}
    assert (await evaluated(gateway, targetingKey="u", variables=given_)).status == 400
    seen = [(line.error_type, line.arm) for line in gateway.spool.observations]
    assert seen == ([] if both_refuse else [("invalid_prompt_variables", "candidate")])


async def test_all_flags_at_once_and_304_until_something_changes(tmp_path: Path) -> None:
    gateway = bench(tmp_path, routes=CANARY)

    async def bulk(unit: str, etag: str = "") -> Heard:
        headers = {"host": "gateway:4281", **({"if-none-match": etag} if etag else {})}
        body = orjson.dumps({"context": {"targetingKey": unit}})
        return await gateway.ask("POST", FLAGS, body, headers=headers)

    inside, outside = (
        next(unit for unit in map(str, range(99)) if takes_candidate(SALT, unit, 0.5) is there)
        for there in (True, False)
    )
    first = await bulk(inside)
    etag = first.headers["etag"]
    assert first.json["flags"][0]["value"]["version"] == CANDIDATE_DIGEST
    assert first.json["eventStreams"] == [
        {"type": "sse", "endpoint": {"origin": "http://gateway:4281", "requestUri": "/ofrep/v1/events"}, "inactivityDelaySec": 120}
    ]  # fmt: skip
    for known in (etag, f"W/{etag}", f'"x", {etag}'):
        again = await bulk(inside, known)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", etag)
    assert (await bulk(outside, etag)).status == 200
    gateway.now.seconds += 31.0  # the lease has ended
    assert (await bulk(inside, etag)).json["flags"][0]["value"]["version"] == STABLE_DIGEST


async def test_a_notice_is_given_exactly_when_evaluations_may_have_changed(tmp_path: Path) -> None:
    gateway = bench(tmp_path, routes=CANARY)

    def lapse() -> None:
        gateway.now.seconds += 31.0

    def renewed() -> None:
        gateway.know(table(revision=4, candidate=CANDIDATE, share=0.5, lease_s=60.0))

    told = await streamed(gateway, "/ofrep/v1/events", lambda: None, renewed, lapse, lapse)
    notices = [orjson.loads(line[6:]) for line in told.splitlines() if line.startswith("data: ")]
    assert [notice["type"] for notice in notices] == ["refetchEvaluation"] * 2


async def test_a_token_of_an_evaluation_carries_a_report(tmp_path: Path) -> None:
    gateway = bench(tmp_path, routes=CANARY)
    metadata = (await evaluated(gateway, targetingKey="u")).json["metadata"]
    item = {"token": metadata["feedbackToken"], "latency_ms": 5.0, "status": 500, "error_type": "timeout"}
    said = {"token": metadata["feedbackToken"], "kind": "escalated", "value": True}
    assert (await reported(gateway, "observations", item)).json["taken"] == 1
    assert (await reported(gateway, "feedback", said)).json["taken"] == 1
    seen, feedback = gateway.spool.lines
    assert (seen.id, feedback.request) == (metadata["requestId"], metadata["requestId"])  # type: ignore[union-attr]
    assert seen.error  # type: ignore[union-attr]
    forged = sign(b"another secret of somebody", read(SECRET, metadata["feedbackToken"]))
    heard = await reported(gateway, "observations", {**item, "token": forged})
    assert (heard.json["taken"], "not one of ours" in heard.json["refused"][0]["why"]) == (0, True)
