"""`git fetch` from a remote into a bare mirror on this machine.

One at a time, within a deadline; the token is never in an address, an argument or a log.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from promptship.errors import ConfigError, Problem, Unavailable
from promptship.render.redact import redact
from promptship.render.table import clipped

TOKEN_VARIABLE: Final = "PROMPTSHIP_FETCH_TOKEN"  # noqa: S105 - the name of a variable
_HELPER: Final = (
    f'!f() {{ test "$1" = get && echo username=x-access-token && echo "password=${TOKEN_VARIABLE}"; }}; f'
)
"""Git runs it in a shell and reads its answer: the token goes from the environment into Git's memory, and nowhere else."""
_PAUSE_S: Final = 0.05
_TERM_S: Final = 2.0
_LEFT_S: Final = 60.0
_LOOSE_MAX: Final = 27
"""Objects in one of 256 directories, above which Git itself packs them: 6,700 in all."""
_SAID_MAX: Final = 300
_KEPT: Final = ("GIT_SSH_COMMAND", "GIT_SSH", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH")
"""Of Git's own variables, those that say how a remote is reached."""
_BRANCHES: Final = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")


def no_git() -> ConfigError:
    """There is no Git on this machine."""
    advice = "install Git, for example with `apt-get install git`"
    return ConfigError([Problem("PATH", "git", "missing", "expected Git's command line", advice)])


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository elsewhere."""

    address: str
    branch: str = "main"
    """What HEAD of the mirror stands for."""
    timeout_s: float = 60.0
    token: Callable[[], str] = lambda: ""
    """Asked before every fetch over HTTP; empty: none is needed. Raises Unavailable, Refused."""

    def fetch(self, mirror: Path, *refs: str) -> None:
        """Bring branches, tags and `refs` into the mirror, which is made when it is not there.

        References that are gone there are gone here; their commits stay. Whoever waits while somebody else begins and ends
        the same fetch does not fetch again. What a fetch that was killed left in the way is removed.

        Raises:
            Unavailable: the remote does not answer, does not let us in, or takes longer than the deadline.
            ConfigError: Git is not installed.
        """
        arrived, deadline = time.monotonic_ns(), time.monotonic() + self.timeout_s
        mirror.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._alone(mirror.with_suffix(".lock"), deadline) as lock:
            if not refs and _last(lock) > arrived:
                return
            began = time.monotonic_ns()
            if not all((mirror / part).exists() for part in ("HEAD", "config", "objects", "refs")):
                self._git(  # not there, or whoever made it was killed over it
                    deadline, "init", "--quiet", "--bare", f"--initial-branch={self.branch}", str(mirror)
                )
            more = tuple(f"+{ref}:refs/promptship/{ref.removeprefix('refs/')}" for ref in refs)
            fetch = (
                "-C", str(mirror), "fetch", "--quiet", "--prune", "--no-tags", "--no-recurse-submodules",
                "--no-write-fetch-head", "--no-auto-maintenance", "--", self.address, *_BRANCHES, *more,
            )  # fmt: skip
            try:
                self._git(deadline, *fetch)
            except Unavailable:
                if not _swept(mirror):
                    raise
                self._git(deadline, *fetch)
            if sum(1 for _ in (mirror / "objects" / "17").glob("*")) > _LOOSE_MAX:
                # Git's own tidying would delete commits that were pushed away, which releases are of. This one keeps everything.
                with suppress(Unavailable):
                    self._git(deadline, "-C", str(mirror), "repack", "--quiet", "-d", "--geometric=2")
            if not refs:
                os.pwrite(lock, f"{began:020d}".encode(), 0)

    def push(self, mirror: Path, ref: str) -> None:
        """Give the remote a branch as it stands in the mirror; never by force.

        Raises:
            Unavailable: the remote does not take it, or takes longer than the deadline.
        """
        deadline = time.monotonic() + self.timeout_s
        where = ("-C", str(mirror), "push", "--quiet", "--no-verify")
        self._git(deadline, *where, "--", self.address, f"{ref}:{ref}")

    @contextmanager
    def _alone(self, path: Path, deadline: float) -> Iterator[int]:
        """Hold the lock of a mirror; it is gone with the process that holds it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise Unavailable(
                            f"another fetch from {self.shown} has not ended after {self.timeout_s:g} s"
                        ) from None
                    time.sleep(_PAUSE_S)
            yield descriptor
        finally:
            os.close(descriptor)

    @property
    def shown(self) -> str:
        """The address for people: without user."""
        parts = urlsplit(self.address) if "://" in self.address else None
        return (
            self.address if parts is None else parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        )

    def _git(self, deadline: float, *arguments: str) -> None:
        command = ["git", *self._options(), *arguments]
        try:
            # A session of its own: Git's helpers hold the pipe, and must go too when time is up.
            process = subprocess.Popen(  # noqa: S603 - no shell; the address is checked by the settings
                command, env=self._environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        except FileNotFoundError:
            raise no_git() from None
        try:
            _, said = process.communicate(timeout=max(deadline - time.monotonic(), _PAUSE_S))
        except subprocess.TimeoutExpired:
            raise Unavailable(f"fetching from {self.shown} took longer than {self.timeout_s:g} s") from None
        finally:
            if process.poll() is None:
                _end(process)
        if process.returncode != 0:
            why = clipped(redact(said.decode("utf-8", "replace")), _SAID_MAX) or f"{process.returncode}"
            raise Unavailable(f"cannot fetch from {self.shown}: {why}")

    @property
    def _scheme(self) -> str:
        if "://" in self.address:
            return urlsplit(self.address).scheme
        local = "/" in self.address.partition(":")[0] or ":" not in self.address
        return "file" if local else "ssh"

    def _options(self) -> list[str]:
        """Only this one way out, only these credentials, and only for this host."""
        pairs = [
            "protocol.allow=never",
            f"protocol.{self._scheme}.allow=always",
            "safe.directory=*",
            "gc.auto=0",
            "core.hooksPath=/dev/null",
            "credential.helper=",
        ]
        if self._scheme in {"http", "https"}:
            parts = urlsplit(self.address)
            pairs.append(f"credential.{parts.scheme}://{parts.netloc}.helper={_HELPER}")
        return [word for pair in pairs for word in ("-c", pair)]

    def _environment(self) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        environment.update({name: os.environ[name] for name in _KEPT if name in os.environ})
        environment.update(LC_ALL="C", GIT_TERMINAL_PROMPT="0")
        environment.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=10")
        if self._scheme in {"http", "https"}:
            environment[TOKEN_VARIABLE] = self.token()
        return environment


def _end(process: subprocess.Popen[bytes]) -> None:
    """First asked, so that it takes its locks away; then ended, with its helpers."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, sent)
            process.communicate(timeout=_TERM_S)
    process.communicate()


def _swept(mirror: Path) -> bool:
    """Remove locks and halves of packs that killed processes left; whether there were any.

    Git holds its locks for milliseconds and writes to a pack that arrives: what is older than a minute is nobody's.
    """
    left = [
        *mirror.glob("*.lock"),
        *(mirror / "refs").rglob("*.lock"),
        *(mirror / "objects" / "pack").glob("tmp_*"),
    ]
    found = False
    for path in left:
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _LEFT_S:
                path.unlink()
                found = True
    return found


def _last(lock: int) -> int:
    """When the last whole fetch began, on this machine's monotonic clock; 0: nobody knows."""
    said = os.pread(lock, 20, 0)
    began = int(said) if said.isdigit() else 0
    return began if began <= time.monotonic_ns() else 0  # the machine has started anew since
