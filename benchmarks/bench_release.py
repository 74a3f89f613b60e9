"""What the pipeline itself costs: push to route change, approval to route change, and 200 changed prompts in one push.

On real processes (`promptship up`, a bare repository with its hook), without traffic and with a suite of one case at a simulator, so
that neither model calls nor dwell are in the numbers. Processor time is that of every process of `promptship up`, less what they
take when nothing happens.

    python benchmarks/bench_release.py [--prompts 200] [--pushes 3]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from examples.demo import HERE, Demo
from promptship.render.table import aligned
from promptship.settings_file import load_settings
from promptship.wiring import build

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PROMPT = """---
name: {name}
model: sim-1
description: A prompt of the bench.
owner: bench
variables:
  question: {{type: string}}
---
{text}

# user
{{{{question}}}}
"""
SUITE = """description: One case.
cases:
  - {id: one, vars: {question: Why was my refund declined?}, assert: [{type: icontains, value: refund}]}
"""


class Bench(Demo):
    """The demo's house without customers."""

    def prepare(self) -> None:
        """One prompt with a suite of one case; every release may be approved by one person."""
        super().prepare()
        shutil.rmtree(self.clone / "prompts")
        shutil.rmtree(self.clone / "suites")
        self.write("support", "Say hello.")
        self.commit("One prompt")

    def commit(self, message: str) -> None:
        """Commit what was written, and push."""
        self._commit(message)

    def write(self, name: str, text: str, *, suite: bool = True) -> None:
        """A prompt with its suite, in the clone."""
        files = {f"prompts/{name}.md": PROMPT.format(name=name, text=text)}
        if suite:
            files[f"suites/{name}.yaml"] = SUITE
        for path, content in files.items():
            (self.clone / path).parent.mkdir(parents=True, exist_ok=True)
            (self.clone / path).write_text(content, encoding="utf-8")

    def start(self) -> None:
        """Simulator and `promptship up`; the prompt as production serves it, and the hook."""
        self._spawn("simulator", str(HERE / "simulator.py"), "--port", str(self.ports["4290"]))
        up = self._spawn("up", "-m", "promptship.cli", "up")
        log = self.place / "up.log"
        wait(lambda: "logs " in log.read_text(encoding="utf-8"))
        self.up, self.app = up, build(load_settings(self.config))
        self.ship("adopt", "--ref", "main")
        self.ship("hook", "install", str(self.bare))

    def cpu_s(self) -> float:
        """Processor time of `promptship up` and everything below it, ended children included."""
        parents: dict[int, list[int]] = {}
        times: dict[int, float] = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            try:
                fields = (
                    (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                )
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
            times[int(entry.name)] = sum(int(number) for number in fields[11:15]) * TICK_S
        total, todo = 0.0, [self.up.pid]
        while todo:
            pid = todo.pop()
            total += times.get(pid, 0.0)
            todo += parents.get(pid, [])
        return total

    def idle_cpu(self, seconds: float = 20.0) -> float:
        """Processors in use when nothing happens."""
        before = self.cpu_s()
        time.sleep(seconds)
        return (self.cpu_s() - before) / seconds

    def rss_mb(self) -> float:
        """Resident memory of the control plane."""
        pid = (self.place / ".promptship/logs/server.pid").read_text(encoding="ascii")
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
        return int(line.split()[1]) / 1024


def wait(condition: Callable[[], bool], seconds: float = 300.0) -> None:
    """Poll often: what is measured takes seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {seconds:.0f} s in vain")
        time.sleep(0.02)


def push_to_route(bench: Bench, idle: float, number: int) -> tuple[float, float]:
    """Seconds and processor seconds from `git push` to the first share of traffic."""
    bench.write("support", f"Say hello, in words of version {number}.")
    cpu, began = bench.cpu_s(), time.monotonic()
    bench.commit(f"version {number}")

    def served() -> bool:
        route = bench.app.routes.get("support")
        return route is not None and route.split is not None

    wait(served)
    took_s = time.monotonic() - began
    time.sleep(4)  # the run that did it ends, and what it used is counted
    cpu_s = bench.cpu_s() - cpu - idle * (time.monotonic() - began)
    (running,) = [row["id"] for row in bench.releases() if row["phase"] == "canary"]
    bench.ship("release", "cancel", running, "--reason", "measured")
    return took_s, cpu_s


def click_to_route(bench: Bench, number: int) -> float:
    """Seconds from an approver's yes to the route: of a prompt's first version, which is not compared with traffic."""
    name = f"new-{number}"
    bench.write(name, "Say hello.")
    bench.commit(f"{name}: new")

    def asked() -> bool:
        return any(row["prompt"] == name and row["phase"] == "awaiting_approval" for row in bench.releases())

    wait(asked)
    (release,) = [row["id"] for row in bench.releases() if row["prompt"] == name]
    time.sleep(3)  # its card is delivered
    token = (bench.place / ".promptship/token").read_text(encoding="utf-8").strip()
    url = f"http://127.0.0.1:{bench.ports['4280']}/api/releases/{release}/approve"
    began = time.monotonic()
    httpx.post(url, json={"who": "mira"}, headers={"Authorization": f"Bearer {token}"}).raise_for_status()
    wait(lambda: bench.app.routes.get(name) is not None)
    return time.monotonic() - began


def many(bench: Bench, prompts: int) -> tuple[float, float, float]:
    """Seconds until every prompt of one push is linted, and the control plane's memory before and after."""
    for number in range(prompts):
        bench.write(f"many-{number}", "Say hello.")
    before, began = bench.rss_mb(), time.monotonic()
    bench.commit(f"{prompts} prompts")

    def linted() -> bool:
        there = [row for row in bench.app.ledger.summaries(limit=10_000) if row.prompt.startswith("many-")]
        return len(there) == prompts and all(row.phase.value != "requested" for row in there)

    wait(linted, 1800)
    return time.monotonic() - began, before, bench.rss_mb()


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--pushes", type=int, default=3)
    options = parser.parse_args()
    bench = Bench(Path(tempfile.mkdtemp(prefix="bench-release-")))
    bench.prepare()
    try:
        bench.start()
        time.sleep(5)
        idle = bench.idle_cpu()
        pushes = [push_to_route(bench, idle, number) for number in range(options.pushes)]
        clicks = [click_to_route(bench, number) for number in range(options.pushes)]
        linted_s, before_mb, after_mb = many(bench, options.prompts)
        bench.app.close()
    finally:
        bench.stop()
        shutil.rmtree(bench.place, ignore_errors=True)
    rows = [
        ("what", "measured", "target"),
        ("push -> first share of traffic", f"{statistics.median(s for s, _ in pushes):.1f} s (median of {len(pushes)})", "<= 10 s"),
        ("  processor time", f"{statistics.median(s for _, s in pushes):.1f} s", "<= 3 s"),
        ("approval -> route", f"{statistics.median(clicks):.2f} s (median of {len(clicks)})", "<= 1 s"),
        (f"{options.prompts} prompts in one push, all linted", f"{linted_s:.1f} s", "<= 60 s"),
        ("  memory of the control plane", f"{before_mb:.0f} -> {after_mb:.0f} MB", "flat"),
        ("idle", f"{100 * idle:.1f} % of a core", "<= 5 %"),
    ]  # fmt: skip
    print("\n".join(aligned(rows)))


if __name__ == "__main__":
    main()
