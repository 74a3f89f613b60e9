"""What every orchestrator does: the one in memory and Prefect's HTTP API (a stand-in that keeps Prefect's rules)."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple
from uuid import uuid4

import pytest

from promptship.adapters.memory.orchestrator import MemoryOrchestrator
from promptship.adapters.prefect_api import PrefectOrchestrator
from promptship.errors import Unavailable
from promptship.ports import Orchestrator
from tests.support.standin import Asked, Said, StandIn, stand_in

pytestmark = pytest.mark.slow


class Prefect:
    """Deployments by name; flow runs by idempotency key, whose later parameters are ignored."""

    def __init__(self) -> None:
        self.deployment: str | None = str(uuid4())
        self.runs: dict[str, tuple[str, str]] = {}
        self.trouble: Said | None = None

    def answer(self, asked: Asked) -> Said:
        if self.trouble is not None:
            return self.trouble
        if asked.path == "/api/deployments/name/release/release" and self.deployment:
            return Said(200, {"id": self.deployment, "name": "release"})
        if asked.path == f"/api/deployments/{self.deployment}/create_flow_run":
            key, release_id = asked.json["idempotency_key"], asked.json["parameters"]["release_id"]
            new = key not in self.runs
            run_id, _ = self.runs.setdefault(key, (str(uuid4()), release_id))
            return Said(201 if new else 200, {"id": run_id})
        return Said(404, {"detail": "Not found"})


class Made(NamedTuple):
    port: Orchestrator
    kind: MemoryOrchestrator | Prefect

    def started(self) -> list[str]:
        return [release_id for _, release_id in self.kind.runs.values()]

    def break_down(self) -> None:
        if isinstance(self.kind, MemoryOrchestrator):
            self.kind.down = True
        else:
            self.kind.trouble = Said(503, {})


@pytest.fixture
def prefect() -> Iterator[tuple[Prefect, StandIn]]:
    prefect = Prefect()
    with stand_in(prefect.answer) as server:
        yield prefect, server


@pytest.fixture(params=["memory", "prefect"])
def made(request: pytest.FixtureRequest) -> Iterator[Made]:
    if request.param == "memory":
        memory = MemoryOrchestrator()
        yield Made(memory, memory)
    else:
        prefect, server = request.getfixturevalue("prefect")
        port = PrefectOrchestrator(f"{server.url}/api", auth="")
        yield Made(port, prefect)
        port.close()


def start_one(url: str, auth: str | None = "") -> None:
    with closing(PrefectOrchestrator(url, auth=auth)) as port:
        port.start("r-1", key="k1")


def test_the_same_key_is_one_run(made: Made) -> None:
    assert made.port.start("r-1", key="k1") == made.port.start("r-1", key="k1")
    assert made.started() == ["r-1"]


def test_another_key_is_another_run(made: Made) -> None:
    assert made.port.start("r-1", key="k1") != made.port.start("r-1", key="k2")
    assert made.started() == ["r-1", "r-1"]


def test_out_of_order_is_unavailable(made: Made) -> None:
    made.break_down()
    with pytest.raises(Unavailable):
        made.port.start("r-1", key="k1")
    assert made.started() == []


def test_a_deployment_made_again_is_found_again(prefect: tuple[Prefect, StandIn]) -> None:
    fake, server = prefect
    port = PrefectOrchestrator(f"{server.url}/api/", auth="")
    port.start("r-1", key="k1")
    fake.deployment = str(uuid4())
    port.start("r-2", key="k2")
    port.start("r-3", key="k3")
    assert [release for _, release in fake.runs.values()] == ["r-1", "r-2", "r-3"]
    assert [asked.path for asked in server.asked].count("/api/deployments/name/release/release") == 2
    port.close()


def test_no_deployment_says_to_start_the_runner(prefect: tuple[Prefect, StandIn]) -> None:
    fake, server = prefect
    fake.deployment = None
    with pytest.raises(Unavailable, match="is the runner started"):
        start_one(f"{server.url}/api")


def test_sends_the_credentials_of_prefects_own_variable(
    prefect: tuple[Prefect, StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, server = prefect
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:pass")
    start_one(f"{server.url}/api", auth=None)
    assert {asked.headers["authorization"] for asked in server.asked} == {"Basic YWRtaW46cGFzcw=="}


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        (Said(401, {}), "PREFECT_API_AUTH_STRING"),
        (Said(422, {"detail": "bad api_key=sk-1234567890abcdefghij"}), r"422.*\[redacted\]"),
        (Said(200, b"<html>"), "not as Prefect does"),
        (Said(200, {"name": "no id"}), "not as Prefect does"),
        (Said(200, ["list"]), "not as Prefect does"),
    ],
)
def test_every_failure_is_unavailable_and_says_what_to_look_at(
    prefect: tuple[Prefect, StandIn], trouble: Said, says: str
) -> None:
    fake, server = prefect
    fake.trouble = trouble
    with pytest.raises(Unavailable, match=says):
        start_one(f"{server.url}/api")


def test_passes_on_when_to_try_again(prefect: tuple[Prefect, StandIn]) -> None:
    fake, server = prefect
    fake.trouble = Said(429, {}, {"Retry-After": "7"})
    with pytest.raises(Unavailable) as caught:
        start_one(f"{server.url}/api")
    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/api", "http://", "nonsense"])
def test_nobody_there_is_unavailable(url: str) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        start_one(url)


def test_the_parameters_are_plain_values(prefect: tuple[Prefect, StandIn]) -> None:
    _, server = prefect
    start_one(f"{server.url}/api")
    assert json.loads(server.asked[-1].body)["parameters"] == {"release_id": "r-1"}
