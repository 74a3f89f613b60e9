"""A release whose shards run on a Dask cluster of two worker processes, with a real Prefect server and a provider that counts."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from promptship import wiring
from promptship.lifecycle.app import App
from promptship.lifecycle.opening import open_release
from tests.support.git_place import git_place
from tests.support.prefect_harness import prefect_harness
from tests.support.shards import hello, pass_rates
from tests.support.standin import Asked, Said, stand_in

pytest.importorskip("prefect_dask", reason="the extra `dask` is not installed")
pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("prefect"),
    pytest.mark.filterwarnings("default"),  # Prefect's, Dask's and their libraries' own
]
CASES, TRIALS = 12, 2
WHOLE = CASES * TRIALS * 2
SUITE = "cases:\n" + "\n".join(
    f"  - {{id: c{number}, topic: t{number}, messages: [{{role: user, content: Greet number {number}.}}],"
    " assert: [{type: icontains, value: hello}]}"
    for number in range(CASES)
)
SETTINGS = """
[providers.sim]
base_url = "{url}/v1"
api_key_env = "SIM_KEY"
concurrency_max = {side_by_side}
[models.sim-1]
provider = "sim"
context_tokens = 8000
[[approvers]]
name = "mira"
[evaluation]
shards = {shards}
cache = false
dask = "{dask}"
[plans.default.regression]
trials = 2
"""


@dataclass
class Till:
    """Counts answers by what was asked and by whose key; `before` is called before each answer."""

    questions: Counter[str] = field(default_factory=Counter)
    workers: Counter[str] = field(default_factory=Counter)
    before: Callable[[int], None] = lambda _: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, asked: Asked) -> Said:
        with self.lock:
            self.questions[json.dumps(asked.json["messages"])] += 1
            self.workers[asked.headers["authorization"]] += 1
            self.before(self.questions.total())
        time.sleep(0.02)  # so that one worker cannot do it all before the other has begun
        return hello(asked)


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with prefect_harness(tmp_path_factory.mktemp("prefect-home")):
        yield


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def process(*words: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    dask = str(Path(sys.executable).with_name("dask"))
    one = subprocess.Popen([dask, *words], env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
    try:
        yield one
    finally:
        one.kill()
        one.wait()


@contextmanager
def cluster(address: str, config: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """A scheduler and two workers of one thread, each with a provider key of its own."""
    host, port = "127.0.0.1", address.rpartition(":")[2]
    with ExitStack() as stack:
        stack.enter_context(process("scheduler", "--host", host, "--port", port, "--no-dashboard"))
        workers = [
            stack.enter_context(
                process(
                    "worker", address, "--host", host, "--nthreads", "1", "--no-nanny", "--no-dashboard",
                    PROMPTSHIP_CONFIG=str(config), SIM_KEY=f"worker-{number}",
                )
            )
            for number in (1, 2)
        ]  # fmt: skip
        wait_for_workers(address, 2)
        yield workers


def wait_for_workers(address: str, count: int) -> None:
    from distributed import Client

    connect: Any = Client  # untyped
    with connect(address, timeout=60, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=60)


def place(root: Path, **settings: Any) -> tuple[Path, App]:
    root.mkdir()
    files = {"suites/greet.yaml": SUITE, "promptship.toml": SETTINGS.format(**settings)}
    return git_place(root, files, ["Say hello.", "Say hello, please."])


def released(app: App) -> tuple[str, dict[str, Any]]:
    """One run of the release flow: the phase it comes to, and the verdict without what no two runs share."""
    from promptship.flows.release import release

    release_id = open_release(app, prompt="greet", ref="main", actor="person:test").release_id
    with wiring.use(app):
        phase = release(release_id)
    verdict: Any = app.release(release_id).suite_verdict
    for suite in verdict["suites"]:
        for arm in ("candidate", "stable"):
            suite[arm].pop("latency_ms_median")
    return phase, verdict


@pytest.mark.usefixtures("prefect")
def test_two_workers_share_a_release_and_pay_every_answer_once(tmp_path: Path) -> None:
    till, address = Till(), f"tcp://127.0.0.1:{free_port()}"
    with stand_in(till) as provider, pytest.MonkeyPatch.context() as environment:
        environment.setenv("SIM_KEY", "flow")
        config, app = place(tmp_path / "parts", url=provider.url, shards=4, dask=address, side_by_side=8)
        with cluster(address, config):
            phase, verdict = released(app)
        app.close()
        assert phase == "canary"
        assert pass_rates(verdict) == [(1.0, 1.0)]
        assert till.workers.keys() == {"Bearer worker-1", "Bearer worker-2"}, "both, and nobody else"
        assert till.questions.total() == WHOLE
        assert set(till.questions.values()) == {TRIALS}, "an answer was paid twice"
        files = sorted((config.parent / ".promptship/evaluations").glob("*/greet.*-of-4.jsonl"))
        assert len(files) == 4
        assert sum(len(file.read_text().splitlines()) for file in files) == WHOLE

        _, app = place(tmp_path / "whole", url=provider.url, shards=1, dask="", side_by_side=8)
        assert released(app) == (phase, verdict)
        app.close()


@pytest.mark.usefixtures("prefect")
def test_a_worker_that_is_killed_costs_at_most_the_answers_it_was_waiting_for(tmp_path: Path) -> None:
    till, address = Till(), f"tcp://127.0.0.1:{free_port()}"
    with stand_in(till) as provider:
        # Two shards share two calls in parallel: each waits for one answer at a time.
        config, app = place(tmp_path / "killed", url=provider.url, shards=2, dask=address, side_by_side=2)
        with cluster(address, config) as workers:

            def kill(answers: int) -> None:
                if answers == WHOLE // 3:
                    os.kill(workers[0].pid, signal.SIGKILL)

            till.before = kill
            phase, verdict = released(app)
            assert workers[0].wait(timeout=10) == -signal.SIGKILL
        app.close()
        assert phase == "canary"
        assert pass_rates(verdict) == [(1.0, 1.0)]
        assert verdict["suites"][0]["candidate"]["trials"] == CASES * TRIALS
        assert WHOLE <= till.questions.total() <= WHOLE + 1
        assert till.workers["Bearer worker-1"] > 0, "the killed one had begun"
