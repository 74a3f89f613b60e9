"""What `promptship up` uses with nothing to do: processor time and memory of every process, over a minute.

Processor time is taken from /proc, so that a busy machine does not change it; a fresh installation with the default settings, no
release open, no request. The budget is 5 % of one core for all of them together.

    python benchmarks/bench_idle.py [seconds]
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from examples.demo import Demo

BUDGET = 0.05
SETTLE_S = 45.0
"""The first minute is not idle: schedules are laid out, the fork server loads, services begin."""
START_S_MAX = 180.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> int:
    """Print the table; exit status 1 when it is over the budget."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with tempfile.TemporaryDirectory(prefix="promptship-idle-") as directory:
        place = Path(directory) / "place"
        _prepare(place)
        log = place / "up.log"
        with log.open("wb") as out:
            up = subprocess.Popen(
                [sys.executable, "-m", "promptship.cli", "up"], cwd=place, stdout=out, stderr=out
            )
        try:
            _wait_until_ready(up, log)
            time.sleep(SETTLE_S)
            return _measure(up.pid, place / ".promptship/logs", seconds)
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait(60)


def _prepare(place: Path) -> None:
    """The demo's repository; the product's own intervals instead of the demo's hasty ones."""
    demo = Demo(place)
    demo.prepare()
    text = demo.config.read_text(encoding="utf-8")
    hasty = '[watcher]\nevery = "1s"\nretry_every = "20s"\n'
    if hasty not in text:
        raise SystemExit("the demo's settings have changed: this bench takes its [watcher] out")
    demo.config.write_text(text.replace(hasty, "").replace('bucket = "1s"', ""), encoding="utf-8")


def _wait_until_ready(up: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S_MAX
    while "logs  " not in log.read_text(encoding="utf-8"):
        if up.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"promptship did not start:\n{log.read_text(encoding='utf-8')}")
        time.sleep(0.5)


def _measure(root: int, logs: Path, seconds: float) -> int:
    names = {int(path.read_text()): path.stem for path in logs.glob("*.pid")} | {root: "supervisor"}
    before = _used(root, names)
    began = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    after = _used(root, names)
    print(f"{'process':12}  {'% of a core':>11}  {'MB':>6}")
    total = 0.0
    for name in sorted(after, key=lambda one: -after[one][0] + before.get(one, (0.0, 0.0))[0]):
        share = max(after[name][0] - before.get(name, (0.0, 0.0))[0], 0.0) / took
        total += share
        print(f"{name:12}  {100 * share:>11.2f}  {after[name][1]:>6.0f}")
    print(f"{'all':12}  {100 * total:>11.2f}  {sum(memory for _, memory in after.values()):>6.0f}")
    print(f"over {took:.0f} s; budget {100 * BUDGET:g} % of a core: {'met' if total <= BUDGET else 'missed'}")
    return 0 if total <= BUDGET else 1


def _used(root: int, names: dict[int, str]) -> dict[str, tuple[float, float]]:
    """Processor seconds and resident megabytes by part; a child counts for the part that started it, ended ones too."""
    used: dict[str, tuple[float, float]] = {}
    todo = [(root, "supervisor")]
    children: dict[int, list[int]] = {}
    facts: dict[int, tuple[float, float]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # it has just ended
        children.setdefault(int(words[1]), []).append(int(entry.name))
        facts[int(entry.name)] = (
            sum(int(words[at]) for at in (11, 12, 13, 14)) / TICKS_PER_S,
            int(words[21]) * PAGE_MB,
        )
    while todo:
        pid, part = todo.pop()
        part = names.get(pid, part)
        spent, memory = facts.get(pid, (0.0, 0.0))
        known = used.get(part, (0.0, 0.0))
        used[part] = known[0] + spent, known[1] + memory
        todo += [(child, part) for child in children.get(pid, [])]
    return used


if __name__ == "__main__":
    sys.exit(main())
