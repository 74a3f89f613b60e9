from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.routing import Mount, Route

from promptship.prompts.model import NAME_PATTERN
from promptship.server.openapi import document
from tests.support.plane import World, client


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return document(World().asgi().routes)


def every_route(routes: Any, prefix: str = "") -> set[tuple[str, str]]:
    found = set()
    for route in routes:
        if isinstance(route, Mount):
            found |= every_route(route.routes, prefix + route.path)
        elif isinstance(route, Route):
            found |= {(prefix + route.path, method.lower()) for method in (route.methods or {"GET"})}
    return {(path, method) for path, method in found if method != "head"}


def test_every_route_is_told_with_what_it_does(told: dict[str, Any]) -> None:
    there = {(path, method) for path, operations in told["paths"].items() for method in operations}
    assert there == every_route(World().asgi().routes)
    for operations in told["paths"].values():
        for operation in operations.values():
            assert operation["summary"].endswith("."), operation


def test_every_reference_leads_somewhere_and_ids_are_unique(told: dict[str, Any]) -> None:
    text = str(told)
    named = set(re.findall(r"#/components/schemas/(\w+)", text))
    assert named <= told["components"]["schemas"].keys()
    ids = [one["operationId"] for operations in told["paths"].values() for one in operations.values()]
    assert len(set(ids)) == len(ids)


def test_what_is_sent_to_the_api_is_typed(told: dict[str, Any]) -> None:
    for path, operations in told["paths"].items():
        sent = operations.get("post", {}).get("requestBody")
        if path.startswith("/api/") and sent is not None:
            assert "$ref" in sent["content"]["application/json"]["schema"], path
    (name,) = told["paths"]["/api/prompts/{name}/history"]["get"]["parameters"]
    assert name["schema"]["pattern"] == NAME_PATTERN


async def test_it_is_served_to_everybody_and_only_the_api_asks_for_a_token(told: dict[str, Any]) -> None:
    async with client(World().asgi(), token=None) as http:
        answered = await http.get("/openapi.json")
    assert answered.json() == told
    for path, operations in told["paths"].items():
        for operation in operations.values():
            assert ("security" in operation) == path.startswith("/api/"), path
