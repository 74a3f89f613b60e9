"""This machine: data directory, disk, secrets, repository, hook, spool, scorer."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from promptship.adapters.doctor.found import Found, fail, ok, warn
from promptship.adapters.git import GitRepository
from promptship.adapters.hooks import hook_installed
from promptship.adapters.scorer_state import read_state, told
from promptship.errors import NotFound
from promptship.numbers import plural, short
from promptship.prompts.load import is_prompt_path
from promptship.settings import Settings

FREE_WARN: Final = 2 * 1024**3
FREE_FAIL: Final = 200 * 1024**2
BEHIND_WARN_S: Final = 60.0
BEHIND_FAIL_S: Final = 600.0


def data_directory(settings: Settings, *, free_bytes: int | None = None) -> Iterator[Found]:
    """Permissions and room. `free_bytes`: for tests."""
    part, data = "data directory", settings.data
    if not data.is_dir():
        yield fail(part, f"{data} is not there", "start promptship once, or correct data_dir")
        return
    if not os.access(data, os.W_OK | os.X_OK):
        yield fail(
            part,
            f"{data} cannot be written to",
            f"chown it to the user that runs promptship ({os.geteuid()})",
        )
    elif stat.S_IMODE(data.stat().st_mode) & 0o077:
        mode = f"{stat.S_IMODE(data.stat().st_mode):o}"
        yield warn(
            part, f"{data} is open to others (mode {mode}); it holds answers and secrets", f"chmod 700 {data}"
        )
    else:
        yield ok(part, str(data))
    for secret in ("token", "signing-key"):
        path = data / secret
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield fail("secrets", f"{path} can be read by others", f"chmod 600 {path}, and change it")
    free = shutil.disk_usage(data).free if free_bytes is None else free_bytes
    said, advice = f"{free / 1024**3:.1f} GiB free", "make room: without it nothing can be written down"
    if free < FREE_FAIL:
        yield fail("disk", said, advice)
    else:
        yield warn("disk", said, advice) if free < FREE_WARN else ok("disk", said)


def repository(settings: Settings) -> Iterator[Found]:
    """Readable, the branch is there, it has prompts, and pushes are announced."""
    place = settings.repository
    git = GitRepository(settings.clone)
    try:
        head = git.resolve(place.branch)
    except NotFound:
        advice = f"push the branch {place.branch}, or correct repository.branch"
        yield fail("repository", f"{settings.clone} has no branch {place.branch}", advice)
        return
    prompts = [path for path in git.tree(head.id).files() if is_prompt_path(path, place.prompts)]
    said = f"{plural(len(prompts), 'prompt')} on {place.branch} at {short(head.id)}"
    yield (
        ok("repository", said)
        if prompts
        else warn("repository", said, "no file matches repository.prompts: nothing will be released")
    )
    if place.remote or settings.github.repository or settings.gitlab.project:
        return  # pushes are announced by the host, or polled
    if hook_installed(settings.clone):
        yield ok("push hook", "post-receive is installed")
    else:
        yield warn("push hook", "pushes are not announced", f"promptship hook install {settings.clone}")


def spool(settings: Settings, read: dict[str, int], *, now_s: float | None = None) -> Iterator[Found]:
    """Lines of this machine's gateways that no watcher has taken in. `read`: bytes taken in, by file."""
    files = [path for path in settings.spool.glob("*/*.jsonl") if path.is_file()]
    waiting = [path for path in files if path.stat().st_size > read.get(f"{path.parent.name}/{path.name}", 0)]
    if not waiting:
        yield ok("spool", f"{plural(len(files), 'file')}, all taken in")
        return
    left = sum(path.stat().st_size - read.get(f"{path.parent.name}/{path.name}", 0) for path in waiting)
    oldest_s = (time.time() if now_s is None else now_s) - min(path.stat().st_mtime for path in waiting)
    said = f"{left:,} bytes wait, for up to {oldest_s:.0f} s"
    advice = "start `promptship watcher` on this machine: traffic that is not counted is not judged"
    if oldest_s >= BEHIND_FAIL_S:
        yield fail("spool", said, advice)
    else:
        yield warn("spool", said, advice) if oldest_s >= BEHIND_WARN_S else ok("spool", said)


def scorer(settings: Settings, *, now_s: float | None = None) -> Iterator[Found]:
    """Whether sampled answers of this machine are scored."""
    state = read_state(settings.data)
    known = told(state, time.time() if now_s is None else now_s)
    if state is None:
        yield warn("scorer", "never ran here", "start `promptship scorer` if a plan has online checks")
    elif known["status"] != "ok":
        yield warn(
            "scorer",
            f"silent for {known['age_s']:.0f} s",
            "start `promptship scorer`: guardrails on scores hold",
        )
    else:
        yield ok("scorer", f"{plural(state.waiting, 'judgement')} waiting")


def heartbeat(data: Path, beat: str, *, silent_s: float, now_s: float | None = None) -> Iterator[Found]:
    """A file that a process of this machine touches after every turn; nothing is said where it never ran."""
    path, name = data / beat, beat.partition(".")[0]
    if path.exists():
        age_s = (time.time() if now_s is None else now_s) - path.stat().st_mtime
        if age_s > silent_s:
            yield warn(
                f"{name} here", f"silent for {age_s:.0f} s", f"start `promptship {name}`, or remove {path}"
            )
