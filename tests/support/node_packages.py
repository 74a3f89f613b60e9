"""Packages of npm for tests that run the real JavaScript clients: fetched once into the user's cache, through npm as it is set up."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest

_INSTALL_S_MAX = 90.0
_QUIET = ("--no-audit", "--no-fund", "--no-update-notifier", "--ignore-scripts", "--no-package-lock")
_IMPATIENT = ("--fetch-retries=0", "--fetch-timeout=20000")


async def node_with(*packages: str) -> tuple[str, Path]:
    """(node, the directory for NODE_PATH with these packages, `name@version`); the test is skipped where they cannot be had."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node or npm is not installed")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "promptship-tests"
    home = cache / hashlib.sha256("\n".join(packages).encode()).hexdigest()[:16]
    if not home.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as made:
            await _install(npm, Path(made) / "new", packages)
            try:
                (Path(made) / "new").rename(home)  # whole or not at all; another test may have been faster
            except OSError:
                if not home.is_dir():
                    raise
    return node, home / "node_modules"


async def _install(npm: str, directory: Path, packages: tuple[str, ...]) -> None:
    directory.mkdir()
    process = await asyncio.create_subprocess_exec(
        npm, "install", "--prefix", str(directory), *_QUIET, *_IMPATIENT, *packages,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        _, err = await asyncio.wait_for(process.communicate(), _INSTALL_S_MAX)
    except TimeoutError:
        process.kill()
        await process.wait()
        pytest.skip(f"npm did not fetch {', '.join(packages)} within {_INSTALL_S_MAX:g} s")
    if process.returncode != 0:
        said = [line for line in err.decode(errors="replace").splitlines() if "error" in line]
        pytest.skip(f"npm could not fetch {', '.join(packages)}: {(said or ['no reason given'])[0][:200]}")
