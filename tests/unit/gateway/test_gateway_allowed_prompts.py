"""An application whose key is for some prompts: what it may see and say of the others is nothing, on every path."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from promptship.gateway.keys import Application, Keys
from promptship.prompts.digest import canonical, digest
from promptship.routing.table import Route, RoutingTable, Version
from promptship.settings import GatewaySettings
from tests.support.gateway import Bench, FakeAnswer, Heard, bench, completion, prompt

HASH = hashlib.sha256(b"k").hexdigest()
OTHER = hashlib.sha256(b"o").hexdigest()
NAMES = ("support", "billing")
PROMPTS = {name: prompt("You answer {{ question }}", name=name, model=f"m-{name}") for name in NAMES}
DIGESTS = {name: digest(one) for name, one in PROMPTS.items()}
ROUTES = RoutingTable(
    revision=1,
    routes={name: Route(prompt=name, revision=1, stable=digest(one)) for name, one in PROMPTS.items()},
    versions={
        digest(one): Version(digest=digest(one), commit="c", content=canonical(one))
        for one in PROMPTS.values()
    },
)
LIMITED = {"shop": {"key_sha256": HASH, "prompts": ["support"]}, "all": OTHER}
TURNS = [{"role": "user", "content": "hi"}]


async def asked(gateway: Bench, method: str, path: str, body: Any = None, key: str = "k") -> Heard:
    raw = b"" if body is None else orjson.dumps(body)
    return await gateway.ask(method, path, raw, headers={"authorization": f"Bearer {key}"})


def opened(tmp_path: Path) -> Bench:
    return bench(tmp_path, FakeAnswer([completion()]), routes=ROUTES, applications=LIMITED)


@pytest.mark.parametrize("name", [*NAMES, "nothing"])
@pytest.mark.parametrize("key", ["k", "o"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
async def test_exactly_the_prompts_of_the_key_are_served(
    tmp_path: Path, name: str, key: str, path: str
) -> None:
    gateway = opened(tmp_path)
    body = {"model": f"prompt:{name}", "prompt_variables": {"question": "why?"}}
    heard = await asked(gateway, "POST", path, body, key)
    is_forbidden = key == "k" and name != "support"
    assert (heard.status == 403) == is_forbidden
    if not is_forbidden:
        assert heard.status == 404 or len(gateway.upstream.asked) == 1
        return
    assert gateway.upstream.asked == []
    assert gateway.spool.observations == []
    error = heard.json["error"]
    assert (error["type"], error["param"], error["code"]) == (
        "permission_error",
        "model",
        "prompt_not_allowed",
    )


async def test_lists_and_routes_hold_the_keys_prompts_only(tmp_path: Path) -> None:
    gateway = opened(tmp_path)
    models = (await asked(gateway, "GET", "/v1/models")).json["data"]
    assert [one["id"] for one in models] == ["prompt:support"]
    assert (await asked(gateway, "GET", "/v1/models/prompt:billing")).status == 404
    table = (await asked(gateway, "GET", "/api/routes")).json
    assert set(table["routes"]) == {"support"}
    assert set(table["versions"]) == {DIGESTS["support"]}
    whole = (await asked(gateway, "GET", "/api/routes", key="o")).json
    assert set(whole["versions"]) == set(DIGESTS.values())
    assert {name: whole["routes"][name] for name in table["routes"]} == table["routes"]


async def test_openfeature_holds_the_keys_prompts_only(tmp_path: Path) -> None:
    gateway = opened(tmp_path)
    bulk = (await asked(gateway, "POST", "/ofrep/v1/evaluate/flags", {})).json
    assert [one["key"] for one in bulk["flags"]] == ["support"]
    heard = await asked(gateway, "POST", "/ofrep/v1/evaluate/flags/billing", {})
    assert (heard.status, heard.json["errorCode"]) == (403, "GENERAL")


async def test_reports_about_other_prompts_are_refused(tmp_path: Path) -> None:
    gateway = opened(tmp_path)
    tokens = {}
    for name in NAMES:
        flag = await asked(gateway, "POST", f"/ofrep/v1/evaluate/flags/{name}", {}, key="o")
        tokens[name] = flag.json["metadata"]["feedbackToken"]
    reports = [{"token": tokens[name], "model": "m", "latency_ms": 1.0, "status": 200} for name in NAMES]
    heard = await asked(gateway, "POST", "/v1/observations", {"observations": reports})
    assert heard.json["taken"] == 1
    assert [one["at"] for one in heard.json["refused"]] == ["observations[1]"]
    assert [one.prompt for one in gateway.spool.observations] == ["support"]


@given(st.sets(st.sampled_from(NAMES)), st.booleans())
def test_a_hash_alone_is_a_key_for_everything(names: set[str], is_alone: bool) -> None:
    table: dict[str, Any] = {"key_sha256": HASH} | ({"prompts": sorted(names)} if names else {})
    settings = GatewaySettings.model_validate({"applications": {"shop": HASH if is_alone else table}})
    again = GatewaySettings.model_validate_json(settings.model_dump_json())
    assert again == settings
    found = Keys(again.applications).application({"headers": [(b"x-api-key", b"k")]})
    assert found == Application("shop", frozenset(names) if names and not is_alone else None)


@pytest.mark.parametrize(
    ("given_", "place"),
    [
        ("short", ("key_sha256",)),
        ({"key_sha256": HASH, "prompts": []}, ("prompts",)),
        ({"key_sha256": HASH, "prompts": ["No name"]}, ("prompts", 0)),
        ({"prompts": ["support"]}, ("key_sha256",)),
        ({"key_sha256": HASH, "prompt": ["support"]}, ("prompt",)),
        (7, ()),
    ],
)
def test_a_mistake_is_one_problem_where_it_stands(given_: object, place: tuple[str | int, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        GatewaySettings.model_validate({"applications": {"shop": given_}})
    # The reader of the file leaves out that a list with a wrong element is counted as too short.
    found = [one["loc"] for one in caught.value.errors() if one["type"] != "too_short" or not one["input"]]
    assert found == [("applications", "shop", *place)]
