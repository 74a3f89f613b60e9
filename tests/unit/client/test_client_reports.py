"""What an application that renders by itself reports: once, in the background, bounded, and without a text."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from promptship.client.outbox import BATCH_MAX, Outbox
from promptship.errors import InvalidVariables, Refused
from promptship.prompts.model import Variable
from promptship.routing.observation import Feedback, Observation
from promptship.routing.split import takes_candidate
from promptship.routing.token import Claims, sign
from tests.support.client_gateway import becomes, client_of
from tests.support.gateway import CANDIDATE, SALT, prompt, table
from tests.support.loopback import raw

WHY = {"question": "why?"}
CANARY = table(revision=3, candidate=CANDIDATE, share=0.5, lease_s=60.0)
IN, OUT = (
    next(unit for unit in map(str, range(99)) if takes_candidate(SALT, unit, 0.5) is there)
    for there in (True, False)
)
TAKEN_BUT = raw(
    "202 Accepted", orjson.dumps({"taken": 0, "refused": [{"at": "observations[0]", "why": "no"}]})
)


async def test_a_timed_call_is_an_observation() -> None:
    async with client_of(CANARY) as (client, gateway, _):
        call = (await client.get("support")).render(WHY, unit=IN)
        with call.timed() as timing:
            timing.first_token()
            timing.answered("I'm sorry, but I can't help with that.", tokens_in=7, tokens_out=3)
        assert call.observe(latency_ms=1.0) is False  # once
        await becomes(lambda: client.state.sent == 1)
        (line,) = gateway.reports("observations")
        seen = Observation.model_validate(line, strict=True)
        assert (seen.id, seen.version, seen.arm, seen.release, seen.stage) == (
            call.id, call.version, "candidate", "r-1", 0,
        )  # fmt: skip
        assert (seen.refusal, seen.tokens_in, seen.streamed, seen.error) == (True, 7, True, False)
        assert seen.ttft_ms is not None
        assert seen.latency_ms >= seen.ttft_ms
        assert seen.unit is not None
        assert "sorry" not in str(line)
        assert "why" not in str(line)


async def test_a_call_that_raises_is_an_error_and_a_cancelled_one_is_not() -> None:
    async with client_of(CANARY) as (client, gateway, _):
        support = await client.get("support")
        with pytest.raises(TimeoutError), support.render(WHY).timed():
            raise TimeoutError("with a user's text")
        with pytest.raises(asyncio.CancelledError), support.render(WHY).timed():
            raise asyncio.CancelledError
        await becomes(lambda: client.state.sent == 2)
        raised, left = gateway.reports("observations")
        assert (raised["error"], raised["error_type"], raised["status"]) == (True, "TimeoutError", 502)
        assert (left["error"], left["status"]) == (False, 499)
        support.render(WHY).observe(latency_ms=1.0, error_type="the user said: no!")
        await becomes(lambda: client.state.sent == 3)
        assert gateway.reports("observations")[-1]["error_type"] == "error"


@pytest.mark.parametrize("both_refuse", [True, False])
async def test_variables_that_only_one_arm_refuses_are_seen_by_the_canary(both_refuse: bool) -> None:
    demanding = prompt("{{ question }} {{ name }}", variables={"question": Variable(), "name": Variable()})
    routes = table(revision=1, candidate=demanding, share=0.5)
    async with client_of(routes) as (client, gateway, _):
        support = await client.get("support")
        with pytest.raises(InvalidVariables):
            support.render({} if both_refuse else WHY, unit=IN)
        support.render(WHY, unit=OUT).observe(latency_ms=1.0)
        await becomes(lambda: client.state.sent == (1 if both_refuse else 2))
        errors = [line for line in gateway.reports("observations") if line["error"]]
        assert [line["error_type"] for line in errors] == (
            [] if both_refuse else ["invalid_prompt_variables"]
        )


async def test_feedback_by_its_own_token_and_by_a_gateways() -> None:
    async with client_of(CANARY) as (client, gateway, _):
        call = (await client.get("support")).render(WHY, unit=IN)
        theirs = sign(b"a gateway's secret", Claims("r", 1, "support", "v", "stable", None, None))
        assert client.feedback(call.token, "escalated")
        assert client.feedback(theirs, "thumbs_down", value=False)
        await becomes(lambda: client.state.sent == 2)
        mine, other = gateway.reports("feedback")
        said = Feedback.model_validate(mine, strict=True)
        assert (said.request, said.arm, said.release, said.kind, said.value) == (
            call.id, "candidate", "r-1", "escalated", True,
        )  # fmt: skip
        assert (other["token"], other["value"]) == (theirs, False)
        for token, kind in (("nonsense", "escalated"), (call.token, "Not A Word")):
            with pytest.raises(Refused):
                client.feedback(token, kind)


async def test_a_token_that_was_altered_is_not_taken_for_its_own() -> None:
    async with client_of(CANARY) as (client, gateway, _):
        call = (await client.get("support")).render(WHY, unit=IN)
        scheme, claims, signature = call.token.split(".")
        client.feedback(f"{scheme}.{claims[:-2]}AA.{signature}", "escalated")
        await becomes(lambda: client.state.sent == 1)
        (said,) = gateway.reports("feedback")
        assert "request" not in said  # only the token, for a gateway to refuse


@pytest.mark.parametrize("answer", [raw("503 No"), raw("401 No"), raw("429 No"), b"nonsense\r\n\r\n"])
async def test_what_was_not_taken_is_sent_again_with_the_same_ids(answer: bytes) -> None:
    async with client_of(CANARY) as (client, gateway, _):
        gateway.answers = [answer, answer]
        (await client.get("support")).render(WHY, unit=IN).observe(latency_ms=1.0)
        await becomes(lambda: client.state.sent == 1)
        first, *later = gateway.batches
        assert later == [first, first]


@pytest.mark.parametrize(("answer", "refused"), [(raw("400 No"), 2), (raw("413 No"), 2), (TAKEN_BUT, 1)])
async def test_what_is_refused_is_counted_and_not_sent_again(answer: bytes, refused: int) -> None:
    async with client_of(CANARY) as (client, gateway, _):
        gateway.answers = [answer]
        outbox = client._client._parts()[1]
        outbox._every_s = 0.1
        support = await client.get("support")
        for _ in range(2):
            support.render(WHY, unit=IN).observe(latency_ms=1.0)
        await becomes(lambda: client.state.sent + client.state.refused == 2)
        assert (client.state.refused, len(gateway.batches)) == (refused, 1)


async def test_closing_sends_what_waits() -> None:
    async with client_of(CANARY) as (client, gateway, _):
        client._client._parts()[1]._every_s = 60.0
        support = await client.get("support")
        for _ in range(BATCH_MAX - 1):
            support.render(WHY, unit=IN).observe(latency_ms=1.0)
        await client.aclose()
        assert (client.state.sent, client.state.queued, client.state.dropped) == (BATCH_MAX - 1, 0, 0)
        assert len(gateway.reports("observations")) == BATCH_MAX - 1


def outbox(**options: Any) -> Outbox:
    made = Outbox("http://127.0.0.1:9", "", every_s=60.0, **options)
    made._start = lambda: None  # type: ignore[method-assign]
    return made


def test_a_full_queue_drops_and_counts() -> None:
    full = outbox(reports_max=3)
    assert [full.put("observations", {"n": number}) for number in range(5)] == [True] * 3 + [False] * 2
    assert (full.queued, full.dropped) == (3, 2)
    full.end(0.0)
    full.join()
    assert (full.queued, full.dropped, full.put("feedback", {})) == (0, 5, False)


def test_a_fork_leaves_the_parents_reports_to_the_parent() -> None:
    parents = outbox()
    parents.put("observations", {})
    parents.begin_anew()
    assert (parents.queued, parents.dropped) == (0, 0)
