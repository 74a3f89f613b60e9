"""`make demo` does what the README shows: run it whole, compare the shape of every line, and verify its ledger again."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.xdist_group("up")]
ROOT = Path(__file__).resolve().parents[2]


def shape(output: str) -> list[str]:
    """The lines without what differs from run to run: times, ids, numbers, and how many looks it took."""
    lines = []
    for line in output.strip().splitlines():
        timed = re.match(r"\d\d:\d\d:\d\d  (.*)", line)
        text = timed.group(1) if timed else line
        if re.match(r"look \d+ at stage", text):
            continue
        if timed:
            text = text.split(":")[0]
        text = re.sub(r"r-[a-z2-7]{10}", "RELEASE", text)
        text = re.sub(r"\b[0-9a-f]{12,64}\b", "HEX", text)
        text = re.sub(r"person:\S+", "person:SOMEBODY", text)
        text = re.sub(r"\S*promptship-demo", "PLACE", text)
        text = re.sub(r"\d+([.,]\d+)*", "#", text)
        text = re.sub(r"rolled back: .*", "rolled back: WHY", text)
        lines.append(re.sub(r"\s+", " ", re.sub(r"# min # s ago|# (ms|s) ago", "AGO", text)).strip())
    return [line for line in lines if line]


def readme_demo() -> str:
    match = re.search(
        r"<!-- demo: begin -->\n```\n(.*?)\n```\n<!-- demo: end -->",
        (ROOT / "README.md").read_text(),
        re.DOTALL,
    )
    assert match is not None
    return match.group(1)


def test_the_demo_prints_what_the_readme_shows(tmp_path: Path) -> None:
    place = tmp_path / ".promptship-demo"
    environment = {**os.environ, "PROMPTSHIP_DEMO": str(place)}
    run = subprocess.run(
        [sys.executable, "examples/demo.py"], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=350,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert shape(run.stdout) == shape(readme_demo())
    audit = subprocess.run(
        [sys.executable, "-m", "promptship.cli", "audit", "verify"],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert audit.returncode == 0
    assert "intact" in audit.stdout
