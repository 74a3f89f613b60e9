"""From `git push` to the control plane: the post-receive hook, what it sends, and the signature both sides use."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import orjson

from promptship.errors import ConfigError, Problem, Refused

SIGNATURE_HEADER: Final = "X-Promptship-Signature"
TIMESTAMP_HEADER: Final = "X-Promptship-Timestamp"
AGE_S_MAX: Final = 300
"""Older (or future) announcements are refused: one that was overheard is worth nothing later."""
TIMEOUT_S: Final = 6.0
"""The person who pushes waits for this."""

_WHY: Final = {
    "removed": "its file was removed; it is served on",
    "as_served": "its suites or plan changed, its text is what production serves: nothing to release",
    "rolled_back": "its suites or plan changed, its text was rolled back; to try it again run `promptship release open`",
}
_MARK: Final = "# Written by promptship; changes are lost when it is installed again."
_HASH: Final = re.compile(r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$")


@dataclass(frozen=True, slots=True)
class Push:
    """One updated reference. `before` is all zeros for a new one, `after` for a deleted one."""

    before: str
    after: str
    ref: str

    @property
    def deleted(self) -> bool:
        """Whether the reference is gone."""
        return not self.after.strip("0")


def sign(secret: bytes, body: bytes, at: datetime) -> dict[str, str]:
    """Headers that prove who sent `body` and when: HMAC-SHA256 over `<unix seconds>.<body>`."""
    timestamp = str(int(at.timestamp()))
    return {TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: f"sha256={_mac(secret, timestamp, body)}"}


def verify(secret: bytes, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """Return when `sign` made the headers for this body within the last five minutes. Raises Refused."""
    timestamp, signature = headers.get(TIMESTAMP_HEADER, ""), headers.get(SIGNATURE_HEADER, "")
    if not re.fullmatch(r"[0-9]{1,12}", timestamp, re.ASCII):
        raise Refused(f"header {TIMESTAMP_HEADER} is missing or not a number")
    expected = f"sha256={_mac(secret, timestamp, body)}".encode()
    if not hmac.compare_digest(expected, signature.encode("utf-8", errors="replace")):
        raise Refused(
            f"header {SIGNATURE_HEADER} does not fit: sender and control plane have different signing keys"
        )
    if abs(now.timestamp() - int(timestamp)) > AGE_S_MAX:
        raise Refused(f"the announcement is older than {AGE_S_MAX} s; check the clocks and send it again")


def push_payload(lines: Iterable[str]) -> list[Push]:
    """What Git feeds a post-receive hook on stdin: `<before> <after> <ref>` per line. Raises ConfigError."""
    pushes, problems = [], []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        if len(words) == 3 and _HASH.match(words[0]) and _HASH.match(words[1]):  # noqa: PLR2004
            pushes.append(Push(*words))
        else:
            problems.append(
                Problem(
                    "stdin", "", repr(line[:80]), "expected `before after ref`", "run it as a hook", number
                )
            )
    if problems:
        raise ConfigError(problems)
    return pushes


def announce(server_url: str, secret: bytes, push: Push, *, now: datetime) -> list[str]:
    """Tell the control plane of a push; returns what the person who pushed should read. Never raises: the push is done."""
    body = orjson.dumps({"before": push.before, "after": push.after, "ref": push.ref})
    headers = {"Content-Type": "application/json", **sign(secret, body, now)}
    try:
        # A proxy from the environment cannot reach this machine's own addresses.
        answer = httpx.post(
            f"{server_url.rstrip('/')}/hooks/git", content=body, headers=headers, timeout=TIMEOUT_S,
            trust_env=not is_loopback(server_url),
        )  # fmt: skip
        said = orjson.loads(answer.content)
    except httpx.ReadTimeout:
        slow = f"the control plane at {server_url} has not answered within {TIMEOUT_S:g} s"
        return [f"promptship: your push is stored, and {slow}: see `promptship release list` in a moment."]
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        nobody = f"the control plane at {server_url} does not answer ({type(error).__name__})"
        advice = "start it with `promptship up`, then run `promptship release open <prompt>`"
        return [f"promptship: your push is stored, but {nobody}: {advice}."]
    except orjson.JSONDecodeError:
        return [
            f"promptship: {server_url} answered {answer.status_code}, but not as a control plane does; nothing was opened."
        ]
    return _told(answer.status_code, said)


def is_loopback(url: str) -> bool:
    """Whether an address stays on this machine."""
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def install_post_receive(repository: Path, *, command: str, config: Path) -> Path:
    """Write the hook that announces pushes; installing it again is harmless.

    Args:
        repository: the repository that people push to, bare or not.
        command: shell words that start promptship, for example `/opt/venv/bin/python -m promptship.cli`.
        config: promptship.toml of the installation.

    Raises:
        ConfigError: no repository there, or somebody else's hook is in the way; it is left as it is.
    """
    hook = _hooks_directory(repository) / "post-receive"
    line = f"{command} hook post-receive --config {shlex.quote(str(config.resolve()))}"
    if hook.is_symlink() or (
        hook.exists() and _MARK not in hook.read_text(encoding="utf-8", errors="replace")
    ):
        advice = f"add this line to it, it reads the same stdin: {line}"
        raise ConfigError([Problem(str(hook), "", "another hook", "promptship leaves it as it is", advice)])
    script = f"""#!/bin/sh
{_MARK}
# Announces what was pushed. The push is already stored and never fails because of this.
{line} || echo "promptship: the push is stored, but no release was opened; see above." >&2
exit 0
"""
    hook.parent.mkdir(parents=True, exist_ok=True)
    draft = hook.with_name(f".post-receive.{secrets.token_hex(8)}")
    draft.write_text(script, encoding="utf-8")
    draft.chmod(0o755)
    draft.replace(hook)
    return hook


def hook_installed(repository: Path) -> bool:
    """Whether our hook announces pushes to this repository. Raises ConfigError: there is no repository."""
    hook = _hooks_directory(repository) / "post-receive"
    return hook.is_file() and _MARK in hook.read_text(encoding="utf-8", errors="replace")


def _hooks_directory(repository: Path) -> Path:
    """Where Git looks for this repository's hooks (`core.hooksPath` may move it). Raises ConfigError."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["GIT_CEILING_DIRECTORIES"] = str(repository.resolve().parent)
    command = ["git", "-c", "safe.directory=*", "-C", str(repository), "rev-parse", "--git-path", "hooks"]
    try:
        found = subprocess.run(  # noqa: S603 - no shell
            command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        advice = "install Git, for example with `apt-get install git`"
        raise ConfigError(
            [Problem("PATH", "git", type(error).__name__, "expected Git's command line", advice)]
        ) from None
    if found.returncode != 0:
        advice = "correct repository.url in promptship.toml, or make it with `git init --bare`"
        raise ConfigError(
            [
                Problem(
                    str(repository), "", "not a Git repository", "expected one to install the hook in", advice
                )
            ]
        )
    hooks = (repository / found.stdout.rstrip("\n")).resolve()
    if not hooks.is_relative_to(repository.resolve()):
        advice = "unset core.hooksPath for this repository, or install the hook by hand"
        raise ConfigError(
            [
                Problem(
                    str(repository), "core.hooksPath", str(hooks), "expected it inside the repository", advice
                )
            ]
        )
    return hooks


def _mac(secret: bytes, timestamp: str, body: bytes) -> str:
    return hmac.new(secret, timestamp.encode("ascii") + b"." + body, hashlib.sha256).hexdigest()


def _told(status: int, said: Any) -> list[str]:
    """The control plane's answer in words."""
    said = said if isinstance(said, dict) else {}
    if status != httpx.codes.ACCEPTED:
        error = said.get("error")
        message = error.get("message", "") if isinstance(error, dict) else ""
        return [f"promptship: nothing was opened ({status}): {message}"]
    if said.get("ignored"):
        return [f"promptship: {said['ignored']}"]
    if said.get("later"):
        return [f"promptship: {said['later']}"]
    releases = [release for release in said.get("releases", []) if isinstance(release, dict)]
    lines = [f"promptship: {name}: {why}" for key, why in _WHY.items() for name in said.get(key, [])]
    if not releases and not lines:
        return [
            "promptship: no prompt was added or changed, and no suite or plan of one, so nothing is released."
        ]
    for release in releases:
        verb = "opened release" if release.get("created") else "already has release"
        lines.append(f"promptship: {release.get('prompt')}: {verb} {release.get('id')}")
        if release.get("stopped"):
            lines.append(f"promptship: {release.get('prompt')}: stopped by lint: {release['stopped']}")
    return [*lines, *([f"promptship: watch them at {said['url']}"] if said.get("url") else [])]
