"""What every orchestrator does: the one in memory and Prefect's HTTP API (a stand-in that keeps Prefect's rules)."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, NamedTuple
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
        self.known: dict[str, dict[str, Any]] = {}
        """Runs by id; they begin at once."""
        self.states: list[dict[str, Any]] = []
        """History of any run."""
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
            self.known.setdefault(run_id, {"id": run_id, "name": release_id, "state_type": "RUNNING"})
            return Said(201 if new else 200, {"id": run_id})
        if asked.path == "/api/flow_runs/filter":
            wanted = asked.json["flow_runs"]
            names, types = wanted["name"]["any_"], wanted["state"]["type"]["any_"]
            return Said(
                200,
                [run for run in self.known.values() if run["name"] in names and run["state_type"] in types],
            )
        if asked.path.startswith("/api/flow_run_states/"):
            return Said(200, self.states)
        if asked.path.endswith("/set_state"):
            run = self.known[asked.path.split("/")[3]]
            run["state_type"] = asked.json["state"]["type"]
            return Said(200, {"status": "ACCEPT"})
        return Said(404, {"detail": "Not found"})


class Made(NamedTuple):
    port: Orchestrator
    kind: MemoryOrchestrator | Prefect

    def started(self) -> list[str]:
        return [release_id for _, release_id in self.kind.runs.values()]

    def cancel(self, release_id: str) -> None:
        if isinstance(self.kind, MemoryOrchestrator):
            self.kind.cancels.add(release_id)
            return
        run = next(run for run in self.kind.known.values() if run["name"] == release_id)
        run["state_type"] = "CANCELLING"

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


def test_a_review_is_a_run_of_its_own(made: Made) -> None:
    if isinstance(made.kind, Prefect):
        made.kind.deployment = None  # it asks for another one
        with pytest.raises(Unavailable, match="review/review"):
            made.port.start_review("github.com", 7, "c0ffee", key="k")
        return
    first = made.port.start_review("github.com", 7, "c0ffee", key="k")
    assert first == made.port.start_review("github.com", 7, "c0ffee", key="k")


def test_only_the_releases_whose_runs_were_cancelled_are_found(made: Made) -> None:
    made.port.start("r-1", key="k1")
    made.port.start("r-2", key="k2")
    assert made.port.cancelled(["r-1", "r-2"]) == []
    made.cancel("r-2")
    assert [run.release_id for run in made.port.cancelled(["r-1", "r-2"])] == ["r-2"]
    assert made.port.cancelled(["r-1"]) == made.port.cancelled([]) == []


def test_settling_never_cancels(made: Made) -> None:
    run = made.port.start("r-1", key="k1")
    made.port.settle("r-1", keep=run)
    made.port.settle("r-1", keep="another")
    assert made.port.cancelled(["r-1"]) == []


def state(kind: str, at: int, message: str | None = None) -> dict[str, Any]:
    return {"type": kind, "timestamp": f"2026-01-01T00:00:0{at}Z", "message": message}


@pytest.mark.parametrize(
    ("states", "asked"),
    [
        ([state("SCHEDULED", 1), state("CANCELLED", 2)], True),
        ([state("RUNNING", 1), state("PAUSED", 2), state("CANCELLED", 3)], True),
        ([state("CANCELLED", 3), state("PAUSED", 2), state("RUNNING", 1)], True),
        (
            [state("RUNNING", 1), state("CANCELLING", 2), state("CANCELLED", 3, "Flow run was cancelled.")],
            True,
        ),
        ([state("RUNNING", 1), state("CANCELLED", 2, "Runner is shutting down.")], False),
        ([state("RUNNING", 1), state("CANCELLED", 2)], False),
        ([state("PAUSED", 1), state("CANCELLED", 2, "Runner is shutting down.")], False),
        ([state("SCHEDULED", 1), state("CANCELLED", 2, "Deployment concurrency limit reached.")], False),
        ([], False),
    ],
)
def test_cancelled_by_somebody_or_by_a_restart(
    prefect: tuple[Prefect, StandIn], states: list[dict[str, Any]], asked: bool
) -> None:
    fake, server = prefect
    fake.states = states
    with closing(PrefectOrchestrator(f"{server.url}/api", auth="")) as port:
        run = port.start("r-1", key="k1")
        fake.known[run]["state_type"] = "CANCELLED"
        assert [one.run_id for one in port.cancelled(["r-1"])] == ([run] if asked else [])
        assert [one.run_id for one in port.cancelled(["r-1"])] == ([run] if asked else [])


@pytest.mark.parametrize(("waits", "since"), [("SCHEDULED", "2020-01-01T00:00:00Z"), ("PENDING", "now")])
def test_a_run_that_waits_to_begin_is_the_run(
    prefect: tuple[Prefect, StandIn], waits: str, since: str
) -> None:
    fake, server = prefect
    at = datetime.now(UTC).isoformat() if since == "now" else since
    with closing(PrefectOrchestrator(f"{server.url}/api", auth="")) as port:
        run = port.start("r-1", key="k1")
        fake.known[run] |= {"state_type": waits, "state": {"timestamp": at}}
        assert port.start("r-1", key="k2") == run
        fake.known[run] |= {"state_type": "PENDING", "state": {"timestamp": "2020-01-01T00:00:00Z"}}
        assert port.start("r-1", key="k3") != run, "its worker died with it"


def test_a_new_run_closes_the_parked_ones(prefect: tuple[Prefect, StandIn]) -> None:
    fake, server = prefect
    with closing(PrefectOrchestrator(f"{server.url}/api", auth="")) as port:
        parked = port.start("r-1", key="k1")
        other = port.start("r-2", key="k2")
        fake.known[parked]["state_type"] = fake.known[other]["state_type"] = "PAUSED"
        port.start("r-1", key="k3")
    assert fake.known[parked]["state_type"] == "COMPLETED"
    assert fake.known[other]["state_type"] == "PAUSED"


def test_an_older_run_that_still_runs_has_lost_its_process(prefect: tuple[Prefect, StandIn]) -> None:
    fake, server = prefect
    with closing(PrefectOrchestrator(f"{server.url}/api", auth="")) as port:
        older, mine, newer = (port.start("r-1", key=key) for key in ("k1", "k2", "k3"))
        for at, run in enumerate((older, mine, newer)):
            fake.known[run]["start_time"] = f"2026-01-01T00:00:0{at}Z"
        port.settle("r-1", keep=mine)
    assert [fake.known[run]["state_type"] for run in (older, mine, newer)] == [
        "CRASHED",
        "RUNNING",
        "RUNNING",
    ]


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
    (created,) = (asked for asked in server.asked if asked.path.endswith("/create_flow_run"))
    assert json.loads(created.body)["parameters"] == {"release_id": "r-1"}
