"""Packages of npm for tests that run the real JavaScript clients: fetched once into the user's cache, through npm as it is set up."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_INSTALL_S_MAX = 90.0
_QUIET = ("--no-audit", "--no-fund", "--no-update-notifier", "--ignore-scripts", "--no-package-lock")
_IMPATIENT = ("--fetch-retries=0", "--fetch-timeout=20000")


def node_with(*packages: str) -> tuple[str, Path]:
    """(node, the directory for NODE_PATH with these packages, `name@version`); the test is skipped where they cannot be had."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node or npm is not installed")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "promptship-tests"
    home = cache / hashlib.sha256("\n".join(packages).encode()).hexdigest()[:16]
    if not home.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as made:
            new = Path(made, "new")
            new.mkdir()
            _install(npm, new, packages)
            try:
                new.rename(home)  # whole or not at all; another test may have been faster
            except OSError:
                if not home.is_dir():
                    raise
    return node, home / "node_modules"


def _install(npm: str, directory: Path, packages: tuple[str, ...]) -> None:
    command = [npm, "install", "--prefix", str(directory), *_QUIET, *_IMPATIENT, *packages]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_INSTALL_S_MAX)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not fetch {', '.join(packages)} within {_INSTALL_S_MAX:g} s")
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if "error" in line]
        pytest.skip(f"npm could not fetch {', '.join(packages)}: {(said or ['no reason given'])[0][:200]}")
