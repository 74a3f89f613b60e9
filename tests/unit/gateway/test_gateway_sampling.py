"""What the gateway hands on to be scored, and that it never costs the client anything."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from promptship.adapters import samples as spooled
from promptship.adapters.samples import SampleWriter, waiting
from promptship.errors import Unavailable
from promptship.evals.online.reading import answer_of, question_of
from promptship.evals.online.scorer import Locked
from promptship.routing.sampling import Drawn, Sample, Sampling
from tests.support.gateway import (
    CANDIDATE,
    CANDIDATE_DIGEST,
    STABLE,
    Bench,
    FakeAnswer,
    Heard,
    bench,
    completion,
    event,
    table,
)
from tests.support.provider_answers import MESSAGE, MESSAGE_EVENTS, RESPONSE, RESPONSE_EVENTS

PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}


class ListSamples:
    def __init__(self) -> None:
        self.taken: list[Sample] = []
        self.dropped = 0
        self.closed = False

    def offer(self, sample: Mapping[str, Any], bytes_: int) -> None:
        assert bytes_ == len(sample["question"].encode()) + len(sample["answer"].encode())
        self.taken.append(Sample.model_validate_json(orjson.dumps(sample)))

    def close(self) -> None:
        self.closed = True


def sampled(tmp_path: Path, *answers: Any, checks: tuple[Drawn, ...] | None = None, **routes: Any) -> Any:
    taken = ListSamples()
    known = table(**routes)
    checks = (Drawn(name="tone", candidate=1, stable=1),) if checks is None else checks
    if checks:
        known = known.model_copy(update={"sampling": {"support": Sampling(release="r-1", checks=checks)}})
    return bench(tmp_path, *answers, routes=known, samples=taken), taken


def streams(*pieces: Any) -> FakeAnswer:
    return FakeAnswer(pieces, content_type="text/event-stream")


async def ask(gateway: Bench, api: str, **fields: Any) -> Heard:
    named: dict[str, Any] = {"model": "promptship/support", "prompt_variables": {"question": "why?"}}
    if api == "responses":
        named = {"prompt": {"id": "support", "variables": {"question": "why?"}}}
    return await gateway.ask("POST", PATHS[api], orjson.dumps(named | fields))


WHOLE = {"chat": completion(), "responses": orjson.dumps(RESPONSE), "messages": orjson.dumps(MESSAGE)}
STREAMS = {
    "chat": [event("hel"), event("lo"), event(finish="stop"), b"data: [DONE]\n\n"],
    "responses": RESPONSE_EVENTS,
    "messages": MESSAGE_EVENTS,
}


@pytest.mark.parametrize("api", PATHS)
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_whole_answer_is_handed_on_as_the_scorer_reads_it(
    tmp_path: Path, api: str, streamed: bool
) -> None:
    answer = streams(*STREAMS[api]) if streamed else FakeAnswer([WHOLE[api]])
    gateway, taken = sampled(tmp_path, answer)
    heard = await ask(gateway, api, stream=streamed)
    assert heard.status == 200
    (sample,) = taken.taken
    (line,) = gateway.spool.observations
    assert (sample.id, sample.at_ms, sample.version, sample.arm) == (
        line.id,
        line.at_ms,
        line.version,
        "stable",
    )
    assert (sample.api, sample.streamed, sample.plan, sample.checks) == (api, streamed, "r-1", ("tone",))
    assert sample.latency_ms == line.latency_ms
    assert sample.variables == {}
    messages, _ = question_of(sample)
    assert messages[0] == {"role": "system", "content": "Stable. why?"}
    assert answer_of(sample).text == "hello"
    assert answer_of(sample).finish_reason in {"stop", ""}


async def test_the_experiment_is_handed_on_with_it(tmp_path: Path) -> None:
    checks = (
        Drawn(name="tone", candidate=1, stable=0.0001),
        Drawn(name="grounded", candidate=1, stable=0.0001, variables=True),
    )
    gateway, taken = sampled(tmp_path, candidate=CANDIDATE, share=1.0, checks=checks)
    await gateway.chat({"user": "u"})
    (sample,), (line,) = taken.taken, gateway.spool.observations
    assert (sample.version, sample.arm, sample.release, sample.stage) == (
        CANDIDATE_DIGEST,
        "candidate",
        "r-1",
        0,
    )
    assert sample.unit == line.unit
    assert sample.checks == ("tone", "grounded")
    assert sample.variables == {"question": "why?"}


@pytest.mark.parametrize(
    "answer",
    [
        FakeAnswer([b"<html>"]),
        FakeAnswer([b'{"error": {"message": "no"}}'], status=500),
        Unavailable("down"),
        streams(event("hel")),
        streams(event("hel"), b'data: {"error": {"message": "no"}}\n\n', event(finish="stop")),
    ],
)
async def test_what_is_an_error_is_not_scored(tmp_path: Path, answer: Any) -> None:
    gateway, taken = sampled(tmp_path, answer)
    streamed = isinstance(answer, FakeAnswer) and answer.content_type == "text/event-stream"
    await gateway.chat({"stream": streamed})
    assert gateway.spool.observations[0].error
    assert taken.taken == []


async def test_a_response_that_failed_inside_is_not_scored(tmp_path: Path) -> None:
    gateway, taken = sampled(tmp_path, FakeAnswer([orjson.dumps(RESPONSE | {"status": "failed"})]))
    assert (await ask(gateway, "responses")).status == 200
    assert gateway.spool.observations[0].error
    assert taken.taken == []


@pytest.mark.parametrize("checks", [(), (Drawn(name="tone", candidate=1, stable=0.00001),)])
async def test_what_is_not_drawn_is_not_handed_on(tmp_path: Path, checks: tuple[Drawn, ...]) -> None:
    gateway, taken = sampled(tmp_path, checks=checks)
    await gateway.chat()
    assert taken.taken == []


async def test_a_pinned_candidate_is_outside_the_experiment(tmp_path: Path) -> None:
    gateway, taken = sampled(tmp_path, candidate=CANDIDATE, share=1.0, stable=STABLE)
    heard = await gateway.chat({"model": f"prompt:support@{CANDIDATE_DIGEST[:12]}", "user": "u"})
    assert heard.status == 200
    assert taken.taken == []


async def test_what_is_dropped_is_told(tmp_path: Path) -> None:
    gateway, taken = sampled(tmp_path)
    taken.dropped = 3
    assert (await gateway.ask("GET", "/healthz")).json["samples_dropped"] == 3


def fields(**changes: Any) -> dict[str, Any]:
    sample = Sample(
        id="q-1", at_ms=1, prompt="support", version="v", arm="stable", plan="r-1", checks=("tone",), api="chat",
        streamed=False, latency_ms=1.0, question="{}", answer="{}",
    )  # fmt: skip
    return sample.model_dump(mode="json") | changes


def writer(place: Path, **changes: Any) -> SampleWriter:
    return SampleWriter(place / "samples", **({"spool_bytes_max": 10_000, "age_s_max": 60.0} | changes))


def test_files_are_whole_and_for_the_owner_only(tmp_path: Path) -> None:
    one = writer(tmp_path)
    for number in range(3):
        one.offer(fields(id=f"q-{number}"), 10)
    one.close()
    (file,) = waiting(tmp_path / "samples")
    samples, bad = file.read()
    assert ([sample.id for sample in samples], bad) == (["q-0", "q-1", "q-2"], 0)
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.path.parent.stat().st_mode & 0o777 == 0o700
    assert abs(file.at_ms / 1000 - time.time()) < 60
    assert one.dropped == 0


def test_what_does_not_fit_is_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = writer(tmp_path, spool_bytes_max=600)
    full.offer(fields(answer="x" * 300), 300)
    full._flush()
    full.offer(fields(answer="x" * 300), 300)
    full.close()
    assert full.dropped == 1
    assert len(list(waiting(tmp_path / "samples"))) == 1
    flood = writer(tmp_path / "flood")
    monkeypatch.setattr(spooled, "QUEUE_BYTES_MAX", 25)
    monkeypatch.setattr(flood, "_start", lambda: None)
    for _ in range(3):
        flood.offer(fields(), 10)
    flood.offer(fields(), spooled.SAMPLE_BYTES_MAX + 1)
    assert flood.dropped == 2
    refused = writer(tmp_path / "refused")
    (tmp_path / "refused").write_text("a file where a directory is wanted")
    refused.offer(fields(), 10)
    refused.offer(fields(variables={"odd": object()}), 10)
    refused.close()
    assert refused.dropped == 2


def test_what_nobody_scores_is_deleted_for_its_age(tmp_path: Path) -> None:
    one = writer(tmp_path, age_s_max=0.0)
    one.offer(fields(), 10)
    one.close()
    later = writer(tmp_path, age_s_max=-1.0)
    later._tidy()
    assert list((tmp_path / "samples").iterdir()) == []


def test_what_dead_writers_and_scorers_left_is_cleared_away(tmp_path: Path) -> None:
    place = tmp_path / "samples"
    one = writer(tmp_path)
    one.offer(fields(), 10)
    one.close()
    (file,) = waiting(place)
    file.note("q-1 tone passed")
    orphan, draft, fresh = (
        place / name for name in ("0-gone.done", f".{file.path.name}", f".x{file.path.name}")
    )
    for path in (orphan, draft, fresh):
        path.write_text("left")
    os.utime(draft, (1, 1))
    assert [found.path for found in waiting(place)] == [file.path]
    assert (orphan.exists(), draft.exists(), fresh.exists()) == (False, False, True)
    assert file.done() == ["q-1 tone passed"]
    file.remove()
    assert sorted(path.name for path in place.iterdir()) == [fresh.name]


def test_one_scorer_at_a_time(tmp_path: Path) -> None:
    with Locked(tmp_path / "samples") as first:
        assert first.take()
        with Locked(tmp_path / "samples") as second:
            assert not second.take()
    with Locked(tmp_path / "samples") as third:
        assert third.take()
