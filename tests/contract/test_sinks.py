"""Every sink tells the same truth, says the same of trouble, and is the same when it is told twice."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

import orjson
import pytest
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from promptship.adapters.announcing import PrefectEvents, ReleaseTraces, Webhook
from promptship.adapters.announcing.traces import trace_id
from promptship.adapters.standard_webhooks import key_of, verified
from promptship.errors import Refused, Unavailable
from promptship.lifecycle.announcing import announce, tell_again
from promptship.release.events import Event
from promptship.settings.announcing import WebhookSettings
from tests.support.house import House
from tests.support.standin import Asked, Said, stand_in

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HERE = "http://plane.example"
Make = Callable[[str, House], Any]


def webhook(url: str, house: House, **more: Any) -> Webhook:
    return Webhook(WebhookSettings(name="ci", url=f"{url}/in", **more), secret=KEY, server_url=HERE)


def prefect_events(url: str, house: House) -> PrefectEvents:
    return PrefectEvents(f"{url}/api", server_url=HERE, auth="admin:pass")


def traces(url: str, house: House) -> ReleaseTraces:
    def history(release_id: str) -> Any:
        return house.app.ledger.events(release_id, looks=False)

    return ReleaseTraces(url, headers={"x-key": "k"}, service="promptship", history=history, timeout_s=5.0)


SINKS = [webhook, prefect_events, traces]


@pytest.fixture(scope="module")
def promoted() -> House:
    """A house with one release that went all the way; nothing in it changes any more."""
    house = House()
    house.adopt()
    house.promote(house.in_question("Say hello kindly."))
    return house


@dataclass
class Receiver:
    url: str
    asked: list[Asked]
    answers: list[int]
    """Of the next requests; then 200."""

    @property
    def got(self) -> list[Any]:
        """What was sent, as JSON."""
        return [orjson.loads(_body(one)) for one in self.asked]


def _body(one: Asked) -> bytes:
    return gzip.decompress(one.body) if one.headers.get("content-encoding") == "gzip" else one.body


@pytest.fixture
def there() -> Iterator[Receiver]:
    answers: list[int] = []

    def answer(_asked: Asked) -> Said:
        return Said(answers.pop(0) if answers else 200, headers={"Retry-After": "7"})

    with stand_in(answer) as server:
        yield Receiver(server.url, server.asked, answers)


def events_of(house: House) -> list[Event]:
    (summary,) = house.ledger.summaries()
    return list(house.ledger.events(summary.id))


def tell_all(sink: Any, house: House) -> list[Event]:
    told = [event for event in events_of(house) if sink.wants(event.fact)]
    for event in told:
        sink.tell(event, house.release(event.release_id))
    return told


@pytest.mark.parametrize("make", SINKS)
def test_told_twice_it_is_the_same(make: Make, promoted: House, there: Receiver) -> None:
    with closing(make(there.url, promoted)) as sink:
        count = len(tell_all(sink, promoted))
        tell_all(sink, promoted)
    assert count >= 6
    assert there.got[:count] == there.got[count:]
    assert all(b"Say hello" not in _body(one) for one in there.asked)


@pytest.mark.parametrize("make", SINKS)
@pytest.mark.parametrize(
    ("answer", "error"),
    [(200, None), (204, None), (429, Unavailable), (500, Unavailable), (503, Unavailable), (400, Refused)],
)
def test_what_an_answer_means(
    make: Make, answer: int, error: type[Exception] | None, promoted: House, there: Receiver
) -> None:
    there.answers.append(answer)
    event = events_of(promoted)[1]
    with closing(make(there.url, promoted)) as sink:
        if error is None:
            sink.tell(event, promoted.release(event.release_id))
        else:
            with pytest.raises(error, match=str(answer)):
                sink.tell(event, promoted.release(event.release_id))
    assert len(there.got) == 1


@pytest.mark.parametrize("make", SINKS)
def test_nobody_there_is_unavailable(make: Make, promoted: House) -> None:
    event = events_of(promoted)[1]
    with (
        closing(make("http://127.0.0.1:9", promoted)) as sink,
        pytest.raises(Unavailable, match="no answer"),
    ):
        sink.tell(event, promoted.release(event.release_id))


def test_cloud_events_are_signed_and_say_what_happened(promoted: House, there: Receiver) -> None:
    with closing(webhook(there.url, promoted)) as sink:
        told = tell_all(sink, promoted)
    kinds = [event.fact.kind for event in told]
    assert kinds == promoted.kinds(told[0].release_id)
    for event, got in zip(told, there.asked, strict=True):
        assert got.path == "/in"
        assert got.headers["content-type"].startswith("application/cloudevents+json")
        verified(key_of(KEY, plain=True), got.headers, got.body, now=datetime.now(event.at.tzinfo))
        said = got.json
        assert said["specversion"] == "1.0"
        assert said["id"] == got.headers["webhook-id"] == f"{event.release_id}:{event.seq}"
        assert said["type"] == f"promptship.release.{event.fact.kind}"
        assert (said["source"], said["subject"]) == (HERE, "support")
        assert datetime.fromisoformat(said["time"]) == event.at
        assert said["data"]["phase"] == "promoted"
        assert said["data"]["url"] == f"{HERE}/releases/{event.release_id}"
        assert not {"plan", "state", "verdict"} & said["data"]["event"].keys()


def test_a_webhook_is_told_what_its_settings_name(promoted: House, there: Receiver) -> None:
    with closing(webhook(there.url, promoted, events=("promoted", "looked"))) as sink:
        kinds = {event.fact.kind for event in tell_all(sink, promoted)}
    assert kinds == {"promoted", "looked"}
    there.asked.clear()
    with closing(webhook(there.url, promoted, prompts=("other",))) as sink:
        tell_all(sink, promoted)
    assert there.got == []
    with pytest.raises(ValueError, match="no such event: promote;"):
        WebhookSettings(name="ci", url="http://x.example", events=("promote",))


def test_prefect_gets_events_with_a_resource(promoted: House, there: Receiver) -> None:
    with closing(prefect_events(there.url, promoted)) as sink:
        told = tell_all(sink, promoted)
    for event, got in zip(told, there.asked, strict=True):
        assert got.path == "/api/events"
        assert got.headers["authorization"].startswith("Basic ")
        (said,) = got.json
        UUID(said["id"])
        assert said["event"] == f"promptship.release.{event.fact.kind}"
        assert said["resource"]["prefect.resource.id"] == f"promptship.release.{event.release_id}"
        assert said["related"][0]["prefect.resource.id"] == "promptship.prompt.support"
    assert len({got[0]["id"] for got in there.got}) == len(told)


def test_a_release_is_one_trace_around_its_parts(promoted: House, there: Receiver) -> None:
    with closing(traces(there.url, promoted)) as sink:
        told = tell_all(sink, promoted)
    assert {one.path for one in there.asked} == {"/v1/traces"}
    spans = [span for one in there.got for span in one["resourceSpans"][0]["scopeSpans"][0]["spans"]]
    for one in there.got:
        Parse(orjson.dumps(one), ExportTraceServiceRequest())  # what OpenTelemetry itself reads
    (root,) = [span for span in spans if "parentSpanId" not in span]
    parts = [span for span in spans if span is not root]
    assert {span["traceId"] for span in spans} == {trace_id(told[0].release_id)}
    assert {span["parentSpanId"] for span in parts} == {root["spanId"]}
    assert len({span["spanId"] for span in spans}) == len(spans)
    assert [span["name"] for span in parts][:3] == ["lint", "regression", "start"]
    assert [span["name"] for span in parts][-2:] == ["approval", "promotion"]
    for before, after in pairwise(parts):
        assert before["endTimeUnixNano"] == after["startTimeUnixNano"]
    assert root["startTimeUnixNano"] == parts[0]["startTimeUnixNano"]
    assert root["endTimeUnixNano"] == parts[-1]["endTimeUnixNano"]
    assert root["status"] == {}


def test_what_was_given_up_is_told_when_somebody_says_so(there: Receiver) -> None:
    house = House()
    house.adopt()
    sink = webhook(there.url, house, events=("requested",))
    with closing(sink):
        house.outbox.begin(sink.name, at=house.clock.now())
        house.push("Say hello kindly.")
        there.answers.append(410)
        assert announce(house.app, sink) == 0
        (letter,) = house.outbox.dead_letters()
        assert (letter.sink, letter.seq, letter.error) == ("webhook:ci", 0, "webhook:ci answered 410")
        there.answers.append(400)
        assert tell_again(house.app, [sink]) == 0
        assert tell_again(house.app, [], to="webhook:ci") == 0
        assert tell_again(house.app, [sink], to="other") == 0
        assert tell_again(house.app, [sink]) == 1
        assert list(house.outbox.dead_letters()) == []
        assert announce(house.app, sink) == 0
