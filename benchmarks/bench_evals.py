"""How fast a regression suite runs: `promptship eval` as people start it, against a stub provider in a process of its own.

One prompt, three assertions (contains, is-json, javascript), 1,000 and 5,000 cases, a provider that answers after 0 and 50 ms,
32 and 128 calls in parallel, results stored. Then the same once more from the cache. With promptfoo beside it, doing the same
work, when `PROMPTFOO` names its program. Prints one table.

    python benchmarks/bench_evals.py [--cases 1000 5000] [--delays 0 50] [--parallel 32 128] [--assert contains is-json javascript]

`running`: cases per second from the first request to the last row (from the cache: from the start of the run). `floor`: how much
longer that took than the provider's delay alone allows. `first`: from the command to its first request. `CPU`: of the command
with its script processes, start included. `peak`: of all of them together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import uvloop

ANSWER: Final = json.dumps(
    {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "stub", "system_fingerprint": "fp_1",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": '{"answer": "yes"}'}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 40, "completion_tokens": 8, "total_tokens": 48},
    }
).encode()  # fmt: skip
HEAD: Final = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
SYSTEM: Final = "You answer customers politely, in JSON with the one key answer."
ASSERTIONS: Final[dict[str, dict[str, str]]] = {
    "contains": {"type": "contains", "value": "answer"},
    "is-json": {"type": "is-json"},
    "javascript": {"type": "javascript", "value": "JSON.parse(output).answer === 'yes'"},
}


class Stub(asyncio.Protocol):
    """Answers every whole request after `delay_s`; knows when it was asked first and last."""

    delay_s = 0.0
    first = last = 0.0
    count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready."""
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        """Head, then as many bytes as it says."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            if head.startswith(b"get /stats"):
                self._tell(head)
            else:
                self._answer()

    def _answer(self) -> None:
        Stub.last = time.monotonic()
        Stub.first = Stub.first or Stub.last
        Stub.count += 1
        whole = (HEAD % len(ANSWER)).encode() + ANSWER
        if Stub.delay_s:
            asyncio.get_running_loop().call_later(Stub.delay_s, self._transport.write, whole)
        else:
            self._transport.write(whole)

    def _tell(self, head: bytes) -> None:
        body = json.dumps(
            {"first": Stub.first, "last": Stub.last, "count": Stub.count, "delay_s": Stub.delay_s}
        ).encode()
        self._transport.write((HEAD % len(body)).encode() + body)
        if b"delay=" in head:
            Stub.delay_s = float(head.split(b"delay=", 1)[1].split(b" ", 1)[0])
        Stub.first = Stub.last = 0.0
        Stub.count = 0


def serve(port: int) -> None:
    """The stub, until it is stopped."""

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", port)
        await server.serve_forever()

    uvloop.run(main())


def stats(port: int, *, delay_ms: float | None = None) -> dict[str, float]:
    """What the stub was asked since the last time; it begins anew, with another delay if one is given."""
    url = f"http://127.0.0.1:{port}/stats" + ("" if delay_ms is None else f"?delay={delay_ms / 1000}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as answer:
        return cast("dict[str, float]", json.load(answer))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One command."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    first_s: float | None
    running_s: float
    asked: int


class Peak(threading.Thread):
    """Follows the memory of a process and all it has started: proportional set size, so that shared pages count once."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.mb = 0.0
        self.done = threading.Event()
        self._pid = pid

    def run(self) -> None:
        """Look 20 times a second."""
        while not self.done.wait(0.05):
            self.mb = max(self.mb, sum(pss_mb(pid) for pid in family(self._pid)))


def family(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    yield pid
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                yield from family(int(child))
    except OSError:
        return


def pss_mb(pid: int) -> float:
    """Memory of one process; 0 when it is gone."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except (OSError, ValueError):
        pass
    return 0.0


def run(command: Sequence[str], where: Path, port: int, environment: dict[str, str]) -> Measured:
    """Run a command to its end and measure it."""
    began = time.monotonic()
    with (where / "output.txt").open("w") as output:
        process = subprocess.Popen(command, cwd=where, stdout=output, stderr=output, env=environment)
        peak = Peak(process.pid)
        peak.start()
        _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - began
    peak.done.set()
    peak.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(
            f"{' '.join(command)} ended with {process.returncode}:\n{(where / 'output.txt').read_text()[-2000:]}"
        )
    seen = stats(port)
    return Measured(
        wall_s=wall_s, cpu_s=usage.ru_utime + usage.ru_stime, peak_mb=peak.mb,
        first_s=seen["first"] - began if seen["count"] else None,
        running_s=seen["last"] - seen["first"] + seen["delay_s"], asked=int(seen["count"]),
    )  # fmt: skip


# Ours -----------------------------------------------------------------------------------------------------------------


def write_suite(where: Path, port: int, cases: int, parallel: int, asserts: Sequence[str]) -> None:
    """A prompt repository with one suite."""
    for name in ("prompts", "suites"):
        (where / name).mkdir(parents=True)
    demands = [ASSERTIONS[name] for name in asserts]
    with (where / "suites" / "p.jsonl").open("w") as file:
        for n in range(cases):
            case = {"id": f"c{n}", "vars": {"question": f"Order {n}: where is my parcel?"}, "assert": demands}
            file.write(json.dumps(case) + "\n")
    prompt = {
        "name": "p", "model": "stub", "variables": {"question": {}},
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "{{ question }}"}],
    }  # fmt: skip
    (where / "prompts" / "p.yaml").write_text(json.dumps(prompt))
    (where / "promptship.toml").write_text(
        f'[providers.stub]\nbase_url = "http://127.0.0.1:{port}/v1"\nconcurrency_max = {parallel}\n'
    )


def ours(where: Path, port: int, cases: int) -> Measured:
    """One `promptship eval`; the rows are counted."""
    command = [sys.executable, "-m", "promptship.cli", "eval", "p", "--against", "none", "--trials", "1"]
    measured = run(command, where, port, dict(os.environ))
    directory = max((where / ".promptship" / "runs").iterdir())
    with (directory / "rows.jsonl").open() as file:
        rows = [json.loads(line) for line in file]
    if len(rows) != cases or not all(row["score"].get("passed") for row in rows):
        sys.exit(f"{len(rows)} rows of {cases} cases: {rows[0]['score'] if rows else 'none'}")
    if measured.asked:
        return measured
    # From the cache: the facts of the run are written right before it begins, its last row when it ends.
    began, ended = ((directory / name).stat().st_mtime_ns for name in ("run.json", "rows.jsonl"))
    return Measured(
        **{
            **{name: getattr(measured, name) for name in Measured.__slots__},
            "running_s": (ended - began) / 1e9,
        }
    )


# promptfoo ------------------------------------------------------------------------------------------------------------


def promptfoo(where: Path, port: int, cases: int, parallel: int, asserts: Sequence[str]) -> Measured:
    """One `promptfoo eval` of the same work, as it is configured by default but for its cache."""
    config: dict[str, Any] = {
        "prompts": [json.dumps([{"role": "system", "content": SYSTEM}, {"role": "user", "content": "{{question}}"}])],
        "providers": [{"id": "openai:chat:stub", "config": {"apiBaseUrl": f"http://127.0.0.1:{port}/v1", "apiKey": "none"}}],
        "defaultTest": {"assert": [ASSERTIONS[name] for name in asserts]},
        "tests": [{"vars": {"question": f"Order {n}: where is my parcel?"}} for n in range(cases)],
    }  # fmt: skip
    (where / "promptfooconfig.json").write_text(json.dumps(config))
    program = shutil.which(os.environ["PROMPTFOO"]) or os.environ["PROMPTFOO"]
    command = [
        program, "eval", "-c", "promptfooconfig.json", "-o", "out.json", "--no-cache", "--no-progress-bar", "--no-table",
        "-j", str(parallel),
    ]  # fmt: skip
    switches = (
        "PROMPTFOO_DISABLE_TELEMETRY",
        "PROMPTFOO_DISABLE_UPDATE",
        "PROMPTFOO_DISABLE_REMOTE_GENERATION",
    )
    environment = {**os.environ, **dict.fromkeys(switches, "1"), "PROMPTFOO_CONFIG_DIR": str(where / "state")}
    return run(command, where, port, environment)


def why_no_promptfoo() -> str:
    """Why it is left out; empty: it is there."""
    program = os.environ.get("PROMPTFOO", "")
    if not program:
        return "PROMPTFOO does not name its program"
    if shutil.which(program) is None:
        return f"{program} is no program"
    return "" if shutil.which("node") else "there is no node on the PATH"


# Table ----------------------------------------------------------------------------------------------------------------


@contextmanager
def stub() -> Iterator[int]:
    """The stub provider on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(port,), daemon=True)
    process.start()
    try:
        for _ in range(200):
            try:
                stats(port)
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.join(15)


def line(name: str, cases: int, delay_ms: float, parallel: int, measured: Measured) -> str:
    """One row of the table."""
    floor_s = delay_ms / 1000 * cases / parallel if measured.asked else 0.0
    floor = f"{measured.running_s / floor_s:9.2f}x" if floor_s else f"{'-':>10}"
    first = f"{measured.first_s:8.2f}" if measured.first_s is not None else f"{'-':>8}"
    return (
        f"{name:22}{cases:7,}{delay_ms:6g}{parallel:6}{cases / measured.running_s:11,.0f}{floor}{first}{measured.wall_s:8.2f}"
        f"{1000 * measured.cpu_s / cases:9.2f}{measured.peak_mb:8.0f}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--delays", type=float, nargs="+", default=[0, 50])
    parser.add_argument("--parallel", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--assert", dest="asserts", nargs="+", choices=ASSERTIONS, default=list(ASSERTIONS))
    options = parser.parse_args()
    no_promptfoo = why_no_promptfoo()
    print(f"assertions: {', '.join(options.asserts)}")
    print(
        f"{'':22}{'cases':>7}{'ms':>6}{'par.':>6}{'running/s':>11}{'floor':>10}{'first s':>8}{'whole s':>8}{'CPU ms':>9}{'peak MB':>8}"
    )
    with stub() as port, tempfile.TemporaryDirectory() as directory:
        for number, (cases, delay_ms, parallel) in enumerate(
            (cases, delay, parallel)
            for cases in options.cases
            for delay in options.delays
            for parallel in options.parallel
        ):
            where = Path(directory, str(number))
            write_suite(where, port, cases, parallel, options.asserts)
            stats(port, delay_ms=delay_ms)
            print(line("promptship", cases, delay_ms, parallel, ours(where, port, cases)), flush=True)
            print(line("promptship, again", cases, delay_ms, parallel, ours(where, port, cases)), flush=True)
            if not no_promptfoo:
                stats(port, delay_ms=delay_ms)
                measured = promptfoo(where, port, cases, parallel, options.asserts)
                print(line("promptfoo", cases, delay_ms, parallel, measured), flush=True)
    if no_promptfoo:
        print(f"promptfoo was left out: {no_promptfoo}")


if __name__ == "__main__":
    main()
