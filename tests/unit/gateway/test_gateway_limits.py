"""How much the gateway takes on at once, who may ask, and what a call costs."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptship.adapters.providers.costs import Costs
from promptship.gateway.admission import Admission, Ticket
from promptship.gateway.wire import BodyLimits, read_body
from promptship.routing.observation import Observation
from promptship.settings import ModelSettings, ProviderSettings
from tests.support.gateway import FakeAnswer, ListSpool, bench, completion

BODY = b'{"model": "prompt:support", "prompt_variables": {"question": "why?"}}'
PATHS = ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/embeddings"]


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(1, 8), st.integers(1, 100))
def test_a_request_gets_in_exactly_while_both_limits_hold(
    sizes: list[int], requests_max: int, held_bytes_max: int
) -> None:
    admission, held = Admission(requests_max=requests_max, held_bytes_max=held_bytes_max), 0
    tickets: list[Ticket] = []
    for size in sizes:
        ticket = admission.enter(size)
        assert (ticket is not None) == (len(tickets) < requests_max and held + size <= held_bytes_max)
        if ticket is not None:
            tickets.append(ticket)
            held += size
    assert (admission.requests, admission.held_bytes) == (len(tickets), held)
    assert admission.shed == len(sizes) - len(tickets)
    for ticket in tickets:
        with ticket:
            ticket.add(3)
    assert (admission.requests, admission.held_bytes) == (0, 0)


async def hold() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("path", PATHS)
async def test_above_the_limit_it_sheds_at_once_in_the_words_of_the_api(tmp_path: Path, path: str) -> None:
    gateway = bench(tmp_path, hold, requests_max=1)
    asking = asyncio.create_task(gateway.chat())
    while not gateway.upstream.asked:  # noqa: ASYNC110 - the fake has no event for it
        await asyncio.sleep(0)
    heard = await gateway.ask("POST", path, BODY)
    assert (heard.status, heard.headers["retry-after"]) == (429, "1")
    assert heard.error["code"] == "gateway_overloaded"
    assert heard.error["type"] == "rate_limit_error"
    assert ("type" in heard.json) == (path == "/v1/messages")
    health = (await gateway.ask("GET", "/healthz")).json
    assert (health["requests"], health["shed"]) == (1, 1)
    assert gateway.spool.lines == []
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert (await gateway.ask("GET", "/healthz")).json["requests"] == 0


async def test_bytes_are_counted_also_when_their_number_is_not_told_and_given_back(tmp_path: Path) -> None:
    gateway = bench(tmp_path, held_bytes_max=1_000_000)
    gateway.app._around.admission.held_bytes = 999_980
    heard = await gateway.ask("POST", "/v1/chat/completions", BODY)
    assert (heard.status, heard.error["code"]) == (429, "gateway_overloaded")
    assert gateway.app._around.admission.held_bytes == 999_980
    gateway.app._around.admission.held_bytes = 0
    answer = FakeAnswer([completion("x" * 5000)])
    seen: list[int] = []

    async def look() -> None:
        seen.append(gateway.app._around.admission.held_bytes)

    gateway.upstream.answers = [FakeAnswer([*answer.pieces, look])]
    assert (await gateway.ask("POST", "/v1/chat/completions", BODY)).status == 200
    assert seen[0] > 5000 + len(BODY)
    assert gateway.app._around.admission.held_bytes == 0


async def test_a_body_that_does_not_arrive_is_a_408() -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    got = await read_body({"headers": []}, receive, BodyLimits(1000, 0.01))
    assert getattr(got, "status", None) == 408


KEY = "a key of an application"
HASHED = {"web": hashlib.sha256(KEY.encode()).hexdigest()}


@pytest.mark.parametrize(
    ("headers", "served"),
    [
        ({"authorization": f"Bearer {KEY}"}, True),
        ({"authorization": f"bearer  {KEY}"}, True),
        ({"x-api-key": KEY}, True),
        ({"api-key": KEY}, True),
        ({"authorization": f"Basic {KEY}"}, False),
        ({"authorization": "Bearer other"}, False),
        ({"x-api-key": HASHED["web"]}, False),
        ({"x-api-key": "ключ".encode().decode("latin-1")}, False),
        ({}, False),
    ],
)
async def test_with_applications_only_their_keys_are_served(
    tmp_path: Path, headers: dict[str, str], served: bool
) -> None:
    gateway = bench(tmp_path, applications=HASHED)
    heard = await gateway.chat(headers=headers)
    assert heard.status == (200 if served else 401)
    if not served:
        assert (heard.error["code"], heard.error["type"]) == ("invalid_api_key", "authentication_error")
        assert KEY not in heard.body.decode()
        is_without = not headers or "Basic" in headers.get("authorization", "")
        assert ("a key is wanted" in heard.error["message"]) == is_without
        assert gateway.upstream.asked == []
    assert (await gateway.ask("GET", "/v1/models")).status == 401
    assert (await gateway.ask("GET", "/healthz")).status == 200


async def test_the_line_has_exactly_the_fields_of_an_observation(tmp_path: Path) -> None:
    written: list[Any] = []

    class Spool(ListSpool):
        def write(self, record: Any) -> bool:
            written.append(record)
            return super().write(record)

    await bench(tmp_path, spool=Spool()).chat()
    assert list(written[0]) == list(Observation.model_fields)
    assert Observation.model_validate(written[0]).model_dump() == written[0]


async def test_a_known_price_makes_the_cost(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 400}}
    for models, cost in (
        ({}, None),
        ({"gpt-x": ModelSettings(price_in=2.0, price_out=8.0, price_cached=0.5)}, 0.0022),
    ):
        providers = {"main": ProviderSettings(base_url="http://127.0.0.1:1/v1")}
        gateway = bench(tmp_path, FakeAnswer([completion(usage=usage)]), costs=Costs(providers, models))
        await gateway.chat()
        assert gateway.spool.observations[0].cost_usd == cost


def test_a_list_price_holds_only_at_the_vendors_own_address() -> None:
    here = Costs({"main": ProviderSettings(base_url="http://127.0.0.1:1/v1")}, {})
    there = Costs({"main": ProviderSettings(base_url="https://api.openai.com/v1")}, {})
    assert here("gpt-4o-mini", 10, 10) is None
    assert there("gpt-4o-mini", 10, 10) is not None
    assert there("gpt-4o-mini", None, 10) is None
    assert Costs({}, {})("gpt-4o-mini", 10, 10) is None
