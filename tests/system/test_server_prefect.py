"""Against a real Prefect server: one key is one flow run."""

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


def test_one_key_is_one_flow_run(prefect: str) -> None:
    with (
        closing(PrefectOrchestrator(prefect, auth="")) as port,
        httpx.Client(base_url=prefect, trust_env=False) as http,
    ):
        with pytest.raises(Unavailable, match="is the runner started"):
            port.start("r-1", key="r-1:0")
        flow = http.post("/flows/", json={"name": "release"}).json()["id"]
        http.post("/deployments/", json={"name": "release", "flow_id": flow}).raise_for_status()
        first, again, other = (
            port.start("r-1", key="r-1:0"),
            port.start("r-1", key="r-1:0"),
            port.start("r-1", key="r-1:1"),
        )
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
    ever = {"since": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"}  # the house's clock stands in January
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
