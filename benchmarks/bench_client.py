"""What the client costs: its import, the decision it makes for every request, rendering, and reports that wait.

    python benchmarks/bench_client.py [--rounds 200000]

The routes come from a bundle, so no gateway runs; a gateway that does not answer costs the first `get` its wait and the others nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from promptship.client import Client
from promptship.client.bundle import make_bundle
from promptship.client.prompt import PromptHandle
from promptship.prompts.digest import canonical, digest
from promptship.prompts.model import Message, Prompt, Variable
from promptship.routing.table import Route, RoutingTable, Split, Version

GATEWAY = "http://127.0.0.1:9"
"""Nobody listens there."""
QUESTION = {"question": "Where is my parcel?"}
REFERENCES = "cached fetch elsewhere, same machine: Langfuse 2 us, MLflow 175 us; Langfuse waits 3 s when nothing is cached"


def version(text: str) -> tuple[str, Version]:
    """A prompt's digest and version."""
    made = Prompt(
        name="support",
        model="stub",
        messages=(
            Message(role="system", content=text),
            Message(role="user", content="{{ question }}"),
        ),
        variables={"question": Variable()},
    )
    return digest(made), Version(digest=digest(made), commit="c", content=canonical(made))


def routes(*, lease_s: float) -> RoutingTable:
    """One prompt in a canary of 25 %."""
    (stable, one), (candidate, two) = version("You help customers."), version("You help customers briefly.")
    split = Split(release_id="r-1", candidate=candidate, stage=1, share=0.25, salt="r-1", lease_s=lease_s)
    route = Route(prompt="support", revision=1, stable=stable, split=split)
    return RoutingTable(revision=1, routes={"support": route}, versions={stable: one, candidate: two})


def microseconds(call: Callable[[int], object], rounds: int) -> float:
    """Best of twenty runs, per call: what a busy machine adds is not the client's."""
    taken = []
    for _ in range(20):
        began = time.perf_counter()
        for number in range(rounds // 20):
            call(number)
        taken.append((time.perf_counter() - began) / (rounds // 20) * 1e6)
    return min(taken)


def imported_ms() -> float:
    """Importing `promptship.client` in a fresh process: the best of seven, since a busy machine only adds."""
    program = "import time; t = time.perf_counter(); import promptship.client; print((time.perf_counter() - t) * 1000)"
    return min(
        float(
            subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        )
        for _ in range(7)
    )


def first_get_ms() -> float:
    """A fresh process without any gateway, from the import to a prompt of the bundle."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "prompts.json"
        file.write_bytes(make_bundle(routes(lease_s=0.0), at_ms=0))
        program = (
            "import sys, time; t = time.perf_counter()\n"
            "from promptship.client import Client\n"
            "client = Client(sys.argv[1], key='', cache=None, bundle=sys.argv[2])\n"
            "client.get('support'); print((time.perf_counter() - t) * 1000)\n"
        )
        command = [sys.executable, "-c", program, GATEWAY, str(file)]
        told = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(5)]
    return statistics.median(map(float, told))


def decided(client: Client, handle: PromptHandle, rounds: int) -> list[tuple[str, float, str]]:
    """(what, microseconds, wanted)."""
    units = [f"user-{number}" for number in range(1024)]
    call = handle.render(QUESTION, unit="user-1")

    def choose(number: int) -> object:
        return client.get("support").choose(units[number & 1023])

    return [
        ("get + decide, in a canary", microseconds(choose, rounds), "< 5"),
        ("get + decide, nobody named", microseconds(lambda _: client.get("support").choose(), rounds), "< 5"),
        ("get + decide + render", microseconds(lambda n: handle.render(QUESTION, unit=units[n & 1023]), rounds // 10), ""),
        ("sign a feedback token", microseconds(lambda _: call.token, rounds // 10), ""),
    ]  # fmt: skip


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=200_000)
    rounds = parser.parse_args().rounds
    os.environ.pop("PROMPTSHIP_GATEWAY", None)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "prompts.json"
        file.write_bytes(make_bundle(routes(lease_s=0.0), at_ms=0))
        with Client(GATEWAY, key="", cache=None, bundle=file) as client:
            handle = client.get("support")
            parts = client._built  # noqa: SLF001 - a lease only a gateway could tell
            if parts is None:
                raise RuntimeError("a client that was asked is built")
            parts[0].live.take(routes(lease_s=3600.0))
            rows = decided(client, handle, rounds)
    print(f"{'client':34} {'':>10}   wanted")
    print(f"{'import promptship.client':34} {imported_ms():7.0f} ms   < 150 ms")
    print(
        f"{'first get, gateway down, bundle':34} {first_get_ms():7.0f} ms   with the import; bounded by wait_s"
    )
    for what, micros, wanted in rows:
        print(f"{what:34} {micros:7.2f} us   {wanted}{' us' if wanted else ''}")
    print(REFERENCES)


if __name__ == "__main__":
    main()
