"""What the application gets, what the provider gets, and what is written down."""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path

import orjson
import pytest

from promptship.errors import ConfigError, Problem, Unavailable
from promptship.prompts.model import Tool, Variable
from promptship.routing.split import takes_candidate
from promptship.routing.token import read
from tests.support.gateway import (
    AT,
    CANDIDATE,
    CANDIDATE_DIGEST,
    SALT,
    SECRET,
    STABLE,
    STABLE_DIGEST,
    FakeAnswer,
    ListSpool,
    bench,
    completion,
    prompt,
    table,
)

IN = next(str(n) for n in range(99) if takes_candidate(SALT, str(n), 0.5))
OUT = next(str(n) for n in range(99) if not takes_candidate(SALT, str(n), 0.5))
HIDDEN = hashlib.sha256(f"{SALT}:{IN}".encode()).hexdigest()[:16]
CANARY = table(candidate=CANDIDATE)


async def test_the_prompt_is_filled_in_and_the_answer_passes_unchanged(tmp_path: Path) -> None:
    body = completion(strange={"kept": [1, 2.50]})
    gateway = bench(tmp_path, FakeAnswer([body[:9], body[9:]], extra=[(b"OpenAI-Version", b"7")]))
    heard = await gateway.chat({"messages": [{"role": "user", "content": "and now?"}]})
    assert heard.status == 200
    assert heard.body == body
    assert heard.headers["content-type"] == "application/json"
    assert heard.headers["openai-version"] == "7"
    assert "set-cookie" not in heard.headers
    assert gateway.upstream.asked == [
        (
            "gpt-x",
            {
                "model": "gpt-x",
                "messages": [
                    {"role": "system", "content": "Stable. why?"},
                    {"role": "user", "content": "and now?"},
                ],
            },
        )
    ]


async def test_the_headers_name_what_served_and_the_token_tells_it_again(tmp_path: Path) -> None:
    gateway = bench(tmp_path, routes=CANARY)
    heard = await gateway.chat({"user": IN})
    told = {name: value for name, value in heard.headers.items() if name.startswith("x-promptship-")}
    claims = read(SECRET, told.pop("x-promptship-feedback-token"))
    request = told.pop("x-promptship-request-id")
    assert told == {
        "x-promptship-prompt": "support",
        "x-promptship-version": CANDIDATE_DIGEST,
        "x-promptship-arm": "candidate",
        "x-promptship-release": "r-1",
    }
    at_ms = int(AT.timestamp() * 1000)
    assert claims == (request, at_ms, "support", CANDIDATE_DIGEST, "candidate", "r-1", 0, HIDDEN)
    assert gateway.spool.observations[0].unit == HIDDEN
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", request)
    assert int(request.replace("-", "")[:12], 16) == at_ms


async def test_one_observation_says_what_happened_and_names_nobody(tmp_path: Path) -> None:
    gateway = bench(tmp_path, routes=CANARY)
    heard = await gateway.chat({"user": IN})
    (seen,) = gateway.spool.observations
    assert seen.id == heard.headers["x-promptship-request-id"]
    assert (seen.arm, seen.version, seen.release, seen.stage) == ("candidate", CANDIDATE_DIGEST, "r-1", 0)
    assert (seen.status, seen.error, seen.error_type, seen.refusal) == (200, False, "", False)
    assert (seen.tokens_in, seen.tokens_out, seen.model, seen.streamed) == (7, 3, "gpt-x", False)
    assert seen.unit is not None
    assert re.fullmatch("[0-9a-f]{16}", seen.unit)
    assert seen.unit != IN


async def test_the_header_outranks_the_field_user_as_the_unit(tmp_path: Path) -> None:
    gateway = bench(tmp_path, routes=CANARY)
    await gateway.chat({"user": OUT}, headers={"x-unit-id": IN})
    assert gateway.spool.observations[0].arm == "candidate"
    assert gateway.upstream.asked[0][1]["user"] == OUT


@pytest.mark.parametrize("unit", [IN, OUT])
async def test_a_named_unit_is_inside_the_experiment_in_either_arm(tmp_path: Path, unit: str) -> None:
    gateway = bench(tmp_path, routes=CANARY)
    await gateway.chat({"user": unit})
    (seen,) = gateway.spool.observations
    assert seen.release == "r-1"
    assert seen.arm == ("candidate" if unit == IN else "stable")


async def test_without_a_unit_it_is_stable_and_outside_the_experiment(tmp_path: Path) -> None:
    gateway = bench(tmp_path, routes=table(candidate=CANDIDATE, share=1.0))
    heard = await gateway.chat()
    (seen,) = gateway.spool.observations
    assert (seen.arm, seen.release, seen.stage, seen.unit) == ("stable", None, None, None)
    assert "x-promptship-release" not in heard.headers


async def test_the_candidate_is_served_exactly_while_the_lease_lives(tmp_path: Path) -> None:
    gateway = bench(tmp_path, routes=table(candidate=CANDIDATE, share=1.0, lease_s=10.0))
    arms = []
    for later in (0.0, 9.9, 0.1, 100.0):
        gateway.now.seconds += later
        await gateway.chat({"user": IN})
        arms.append((gateway.spool.observations[-1].arm, gateway.spool.observations[-1].release))
    assert arms == [("candidate", "r-1"), ("candidate", "r-1"), ("stable", None), ("stable", None)]
    gateway.know(table(candidate=CANDIDATE, share=1.0, lease_s=10.0))
    await gateway.chat({"user": IN})
    assert gateway.spool.observations[-1].arm == "candidate"


async def test_a_pinned_version_is_served_or_404_but_never_another(tmp_path: Path) -> None:
    gateway = bench(tmp_path, routes=CANARY)
    heard = await gateway.chat({"model": f"prompt:support@{CANDIDATE_DIGEST[:12]}", "user": OUT})
    assert heard.headers["x-promptship-version"] == CANDIDATE_DIGEST
    (seen,) = gateway.spool.observations
    assert (seen.arm, seen.release, seen.unit) == ("candidate", None, None)
    gateway.know(table(revision=2))
    heard = await gateway.chat({"model": f"prompt:support@{CANDIDATE_DIGEST[:12]}"})
    assert (heard.status, heard.error["code"]) == (404, "model_not_found")
    assert len(gateway.spool.observations) == 1


async def test_the_files_parameters_win_and_the_transport_is_the_clients(tmp_path: Path) -> None:
    tool = Tool(name="look_up", description="", parameters={"type": "object"})
    served = prompt(
        parameters={"temperature": 0.1, "user": "nobody", "stream": True, "seed": 4},
        tools=(tool,),
        output_schema={"type": "object"},
    )
    gateway = bench(tmp_path, routes=table(stable=served))
    await gateway.chat(
        {
            "temperature": 1.9,
            "top_p": 0.5,
            "user": "u-1",
            "metadata": {"a": "b"},
            "tools": [],
            "response_format": {"type": "text"},
        }
    )
    sent = gateway.upstream.asked[0][1]
    assert (sent["temperature"], sent["top_p"], sent["seed"], sent["user"]) == (0.1, 0.5, 4, "u-1")
    assert sent["metadata"] == {"a": "b"}
    assert "stream" not in sent
    assert [one["function"]["name"] for one in sent["tools"]] == ["look_up"]
    assert sent["response_format"]["type"] == "json_schema"
    assert "prompt_variables" not in sent


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (b"{", 400, "invalid_json", None),
        (b"[]", 400, "invalid_json", None),
        (b'{"model": NaN}', 400, "invalid_json", None),
        (b"{}", 400, "missing_required_parameter", "model"),
        (b'{"model": 3}', 400, "missing_required_parameter", "model"),
        (b'{"model": "gpt-5"}', 404, "model_not_found", "model"),
        (b'{"model": "prompt:nobody"}', 404, "model_not_found", "model"),
        (b'{"model": "prompt:"}', 404, "model_not_found", "model"),
        (b'{"model": "prompt:support@"}', 404, "model_not_found", "model"),
        (b'{"model": "prompt:support@abc"}', 404, "model_not_found", "model"),
        (b'{"model": "prompt:support@ffffffff"}', 404, "model_not_found", "model"),
        (b'{"model": "prompt:support", "prompt_variables": []}', 400, "invalid_value", "prompt_variables"),
        (b'{"model": "prompt:support", "messages": {}}', 400, "invalid_value", "messages"),
        (
            b'{"model": "prompt:support", "messages": [{"role": "user"}, 3]}',
            400,
            "invalid_value",
            "messages[1]",
        ),
        (b'{"model": "prompt:support", "stream": "yes"}', 400, "invalid_value", "stream"),
        (b'{"model": "prompt:support", "user": 7}', 400, "invalid_value", "user"),
        (b'{"model": "prompt:support"}', 400, "invalid_prompt_variables", "question"),
        (
            b'{"model": "prompt:support", "prompt_variables": {"question": 3}}',
            400,
            "invalid_prompt_variables",
            "question",
        ),
        (
            b'{"model": "prompt:support", "prompt_variables": {"question": "", "mood": "x"}}',
            400,
            "invalid_prompt_variables",
            "mood",
        ),
        (b'{"model": "prompt:support", "x": "' + b"x" * 5000 + b'"}', 413, "request_too_large", None),
    ],
)
async def test_bad_input_gets_one_clear_error_and_leaves_no_trace(
    tmp_path: Path, body: bytes, status: int, code: str, param: str | None
) -> None:
    gateway = bench(tmp_path, body_bytes_max=4096)
    heard = await gateway.ask("POST", "/v1/chat/completions", body)
    assert (heard.status, heard.error["code"], heard.error["param"]) == (status, code, param)
    assert heard.error["type"] == "invalid_request_error"
    assert heard.error["message"]
    assert "x-promptship-request-id" in heard.headers
    assert gateway.spool.lines == []
    assert gateway.upstream.asked == []


async def test_a_declared_length_over_the_limit_is_refused_before_the_body_is_read(tmp_path: Path) -> None:
    gateway = bench(tmp_path, body_bytes_max=4096)
    heard = await gateway.ask("POST", "/v1/chat/completions", b"", headers={"content-length": "4097"})
    assert heard.status == 413


NEEDS_MORE = prompt("New. {{ question }} {{ mood }}", variables={"question": Variable(), "mood": Variable()})


async def test_a_candidate_that_refuses_what_stable_takes_is_an_error_of_the_candidate(
    tmp_path: Path,
) -> None:
    gateway = bench(tmp_path, routes=table(candidate=NEEDS_MORE, share=1.0))
    heard = await gateway.chat({"user": IN})
    assert (heard.status, heard.error["param"]) == (400, "mood")
    (seen,) = gateway.spool.observations
    assert (seen.arm, seen.status, seen.error, seen.error_type) == (
        "candidate",
        400,
        True,
        "invalid_prompt_variables",
    )


async def test_what_both_versions_refuse_is_the_clients_mistake_and_not_observed(tmp_path: Path) -> None:
    gateway = bench(tmp_path, routes=table(candidate=NEEDS_MORE, share=1.0))
    heard = await gateway.chat({"user": IN, "prompt_variables": {"nonsense": "?"}})
    assert heard.status == 400
    assert gateway.spool.lines == []


@pytest.mark.parametrize(
    ("answer", "status", "error_type"),
    [
        (FakeAnswer([b"<html>oops</html>"], content_type="text/html"), 502, "malformed"),
        (FakeAnswer([b""]), 502, "malformed"),
        (FakeAnswer([]), 502, "malformed"),
        (FakeAnswer([completion()[:40]]), 502, "malformed"),
        (FakeAnswer([b'{"choices": []}']), 502, "malformed"),
        (FakeAnswer([completion()], status=302), 502, "malformed"),
        (FakeAnswer([completion()[:40], Unavailable("reset")]), 502, "unreachable"),
        (FakeAnswer([b"<html>bad gateway</html>"], status=502), 502, "upstream_502"),
        (FakeAnswer([b"slow down"], status=429, extra=[(b"Retry-After", b"3")]), 429, "upstream_429"),
        (Unavailable("no"), 502, "unreachable"),
        (ConfigError([Problem(file="f", key="k", got="g", expected="e")]), 500, "provider_not_configured"),
    ],
)
async def test_faults_of_the_provider_become_openai_errors_and_one_observation(
    tmp_path: Path, answer: object, status: int, error_type: str
) -> None:
    gateway = bench(tmp_path, answer)
    heard = await gateway.chat()
    assert heard.status == status
    assert set(heard.error) == {"message", "type", "param", "code"}
    assert heard.headers["content-type"] == "application/json"
    assert "x-promptship-feedback-token" in heard.headers
    (seen,) = gateway.spool.observations
    assert (seen.status, seen.error, seen.error_type) == (status, True, error_type)
    assert (seen.tokens_in, seen.refusal) == (None, None)


async def test_an_error_in_openais_shape_passes_as_it_is_with_its_retry_after(tmp_path: Path) -> None:
    body = b'{"error": {"message": "slow down", "type": "x", "param": null, "code": null}}'
    gateway = bench(tmp_path, FakeAnswer([body], status=429, extra=[(b"Retry-After", b"3")]))
    heard = await gateway.chat()
    assert (heard.status, heard.body, heard.headers["retry-after"]) == (429, body, "3")


async def _for_ever() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("answer", [_for_ever, FakeAnswer([b"{", _for_ever])])
async def test_a_provider_that_hangs_is_cut_off_at_the_deadline(tmp_path: Path, answer: object) -> None:
    gateway = bench(tmp_path, answer, timeout=0.01)
    heard = await gateway.chat()
    assert (heard.status, heard.error["code"]) == (504, "timeout")
    assert [seen.error_type for seen in gateway.spool.observations] == ["timeout"]


async def test_a_client_that_leaves_stops_the_call_and_is_no_error(tmp_path: Path) -> None:
    stopped, leave = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        leave.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    gateway = bench(tmp_path, hang)
    heard = await gateway.chat(leave=leave)
    assert stopped.is_set()
    assert heard.status == 0
    assert [(seen.status, seen.error) for seen in gateway.spool.observations] == [(499, False)]


async def test_a_stop_of_the_process_in_the_middle_is_an_error_and_still_one_line(tmp_path: Path) -> None:
    gateway = bench(tmp_path, _for_ever)
    asking = asyncio.create_task(gateway.chat())
    while not gateway.upstream.asked:  # noqa: ASYNC110 - the fake has no event for it
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert [(seen.error, seen.error_type) for seen in gateway.spool.observations] == [(True, "gateway")]


async def test_a_fault_of_ours_is_a_500_and_still_one_line(tmp_path: Path) -> None:
    gateway = bench(tmp_path, RuntimeError("with a secret in it"))
    heard = await gateway.chat()
    assert (heard.status, heard.error["code"]) == (500, "internal_error")
    assert "secret" not in heard.body.decode()
    assert [seen.error_type for seen in gateway.spool.observations] == ["gateway"]


async def test_nothing_of_the_request_reaches_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    for answer in (RuntimeError("hush-answer"), FakeAnswer([b"hush-answer"]), Unavailable("hush-answer")):
        gateway = bench(tmp_path, answer)
        await gateway.chat({"user": "hush-user", "prompt_variables": {"question": "hush-question"}})
        await gateway.chat({"user": "hush-user", "prompt_variables": {"hush-variable": 1}})
    assert caplog.text
    assert "hush" not in caplog.text


async def test_a_refusal_is_seen_and_a_tool_call_is_not_measurable(tmp_path: Path) -> None:
    refusing = FakeAnswer([completion("I'm sorry, but I can't help with that.")])
    calling = FakeAnswer([completion(None)])
    filtered = completion(
        "", choices=[{"index": 0, "message": {"content": ""}, "finish_reason": "content_filter"}]
    )
    gateway = bench(tmp_path, refusing, calling, FakeAnswer([filtered]))
    for _ in range(3):
        await gateway.chat()
    assert [seen.refusal for seen in gateway.spool.observations] == [True, None, True]


async def test_an_unwritable_spool_costs_the_line_and_never_the_answer(tmp_path: Path) -> None:
    gateway = bench(tmp_path, spool=ListSpool(broken=True))
    assert (await gateway.chat()).status == 200
    assert (await gateway.ask("GET", "/healthz")).json["lost"] == 1


async def test_a_version_this_gateway_cannot_read_fails_alone(tmp_path: Path) -> None:
    broken = table(candidate=CANDIDATE, share=1.0)
    versions = dict(broken.versions)
    versions[CANDIDATE_DIGEST] = versions[CANDIDATE_DIGEST].model_copy(update={"content": {"future": 1}})
    gateway = bench(tmp_path, routes=broken.model_copy(update={"versions": versions}))
    heard = await gateway.chat({"user": IN})
    assert (heard.status, heard.error["code"]) == (500, "prompt_unreadable")
    assert [(seen.arm, seen.error) for seen in gateway.spool.observations] == [("candidate", True)]
    assert (await gateway.chat()).headers["x-promptship-version"] == STABLE_DIGEST


async def test_a_prompt_without_a_model_says_so(tmp_path: Path) -> None:
    gateway = bench(tmp_path, routes=table(stable=prompt(model=None)))
    assert (await gateway.chat()).error["code"] == "prompt_without_model"


async def test_a_prompt_that_was_never_released_is_404(tmp_path: Path) -> None:
    gateway = bench(tmp_path, routes=table(stable=None, candidate=CANDIDATE, share=1.0))
    assert (await gateway.chat({"user": IN})).status == 404
    assert orjson.loads((await gateway.ask("GET", "/v1/models")).body)["data"] == []


def test_the_fixtures_differ() -> None:
    assert STABLE != CANDIDATE
