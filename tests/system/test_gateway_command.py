"""`promptship gateway` in a terminal: it says where it listens, also while its control plane is away, and ends when it is told to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

SETTINGS = "[gateway]\nport = 0\n[server]\nport = 1\n[providers.stub]\nbase_url = 'http://127.0.0.1:1/v1'\n"


def test_it_says_where_it_listens_and_ends_with_0(tmp_path: Path) -> None:
    (tmp_path / "promptship.toml").write_text(SETTINGS, encoding="utf-8")
    command = [sys.executable, "-m", "promptship.cli", "gateway"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        # Ends with the process at the latest: then no line was right.
        line = next((line for line in process.stderr if "listens at" in line), "")
        process.terminate()
        rest = process.stderr.read()
        assert process.wait(60) == 0, rest
    assert "listens at http://127.0.0.1:" in line
    assert "/v1 (model: prompt:<name>)" in line
    assert ":0/v1" not in line
