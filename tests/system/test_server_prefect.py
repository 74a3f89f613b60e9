"""Against a real Prefect server: one key is one flow run, only a request cancels, and what is parked is closed."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from promptship.adapters.announcing import PrefectEvents
from promptship.adapters.prefect_api import PrefectOrchestrator
from promptship.errors import Unavailable
from tests.support.house import House

pytestmark = [pytest.mark.system, pytest.mark.slow]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home, port = tmp_path_factory.mktemp("prefect"), free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment.update(PREFECT_HOME=str(home), DO_NOT_TRACK="1", PREFECT_SERVER_ANALYTICS_ENABLED="false")
    command = [
        str(Path(sys.executable).with_name("prefect")),
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/api"
    try:
        for _ in range(200):
            try:
                if httpx.get(f"{url}/health", trust_env=False).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.5)
        else:
            pytest.fail("Prefect did not start")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def http(prefect: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=prefect, trust_env=False, timeout=30) as http:
        yield http


def deployed(http: httpx.Client) -> None:
    """Flow and deployment; there already when another test was first."""
    flow = http.post("/flows/", json={"name": "release"}).json()["id"]
    http.post("/deployments/", json={"name": "release", "flow_id": flow}).raise_for_status()


def goes(http: httpx.Client, run: str, kind: str, **more: object) -> str:
    """Propose a state as runner, flow or page would; returns the type of what the server made of it."""
    answer = http.post(f"/flow_runs/{run}/set_state", json={"state": {"type": kind, **more}})
    answer.raise_for_status()
    return str(answer.json()["state"]["type"])


SUSPENDED = {"name": "Suspended", "state_details": {"pause_reschedule": True, "pause_key": "k"}}


def test_one_key_is_one_flow_run(prefect: str) -> None:
    with (
        closing(PrefectOrchestrator(prefect, auth="")) as port,
        httpx.Client(base_url=prefect, trust_env=False) as http,
    ):
        with pytest.raises(Unavailable, match="is the runner started"):
            port.start("r-1", key="r-1:0")
        flow = http.post("/flows/", json={"name": "release"}).json()["id"]
        http.post("/deployments/", json={"name": "release", "flow_id": flow}).raise_for_status()
        first, again = port.start("r-1", key="r-1:0"), port.start("r-1", key="r-1:0")
        goes(http, first, "PENDING")
        goes(http, first, "RUNNING")
        other = port.start("r-1", key="r-1:1")
        assert first == again != other
        runs = http.post("/flow_runs/filter", json={}).json()
    assert {run["id"] for run in runs} == {first, other}
    assert [run["parameters"] for run in runs] == [{"release_id": "r-1"}] * 2


def test_its_events_are_told_once_by_their_id(prefect: str) -> None:
    house = House()
    house.adopt()
    release_id = house.push("Say hello kindly.")
    (event,) = house.ledger.events(release_id)
    with closing(PrefectEvents(prefect, server_url="http://plane.example", auth="")) as sink:
        for _ in range(2):
            sink.tell(event, house.release(release_id))
    ever = {
        "since": "2026-01-01T00:00:00Z",
        "until": "2027-01-01T00:00:00Z",
    }  # the house's clock stands in January
    wanted = {"filter": {"event": {"prefix": ["promptship.release."]}, "occurred": ever}}
    with httpx.Client(base_url=prefect, trust_env=False) as http:
        for _ in range(100):
            found = http.post("/events/filter", json=wanted).raise_for_status().json()["events"]
            if found:
                break
            time.sleep(0.2)
    assert [one["event"] for one in found] == ["promptship.release.requested"]
    assert found[0]["resource"]["prefect.resource.id"] == f"promptship.release.{release_id}"
    assert found[0]["payload"]["prompt"] == "support"


def test_only_a_request_cancels(prefect: str, http: httpx.Client) -> None:
    with closing(PrefectOrchestrator(prefect, auth="")) as port:
        deployed(http)
        ways = ("scheduled", "suspended", "running", "restart", "restart-suspended", "goes-on")
        runs = {way: port.start(f"r-{way}", key=f"c:{way}") for way in ways}
        for way in ways[1:]:
            goes(http, runs[way], "PENDING")
            assert goes(http, runs[way], "RUNNING") == "RUNNING"
        for way in ("suspended", "restart-suspended"):
            assert goes(http, runs[way], "PAUSED", **SUSPENDED) == "PAUSED"
        assert goes(http, runs["scheduled"], "CANCELLING") == "CANCELLED"
        assert goes(http, runs["suspended"], "CANCELLING") == "CANCELLED"
        assert goes(http, runs["running"], "CANCELLING") == "CANCELLING"
        for way in ("restart", "restart-suspended"):
            assert goes(http, runs[way], "CANCELLED", message="Runner is shutting down.") == "CANCELLED"
        releases = [f"r-{way}" for way in ways]
        asked = ["r-running", "r-scheduled", "r-suspended"]
        assert sorted(run.release_id for run in port.cancelled(releases)) == asked
        assert goes(http, runs["running"], "CANCELLED", message="Flow run was cancelled.") == "CANCELLED"
        assert sorted(run.release_id for run in port.cancelled(releases)) == asked


def test_the_next_run_closes_the_parked_one_and_one_that_lost_its_process(
    prefect: str, http: httpx.Client
) -> None:
    with closing(PrefectOrchestrator(prefect, auth="")) as port:
        deployed(http)
        parked = port.start("r-parked", key="p:1")
        assert port.start("r-parked", key="p:2") == parked, "it still waits to begin"
        goes(http, parked, "PENDING")
        goes(http, parked, "RUNNING")
        dead = port.start("r-parked", key="p:3")
        goes(http, parked, "PAUSED", **SUSPENDED)
        goes(http, dead, "PENDING")
        goes(http, dead, "RUNNING")
        last = port.start("r-parked", key="p:4")
        goes(http, last, "PENDING")
        goes(http, last, "RUNNING")
        port.settle("r-parked", keep=last)
        found = http.post("/flow_runs/filter", json={"flow_runs": {"name": {"any_": ["r-parked"]}}}).json()
    assert {run["id"]: run["state_type"] for run in found} == {
        parked: "COMPLETED",
        dead: "CRASHED",
        last: "RUNNING",
    }
