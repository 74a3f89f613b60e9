"""Git repositories for tests, written with `git fast-import`: any path, any bytes, fast."""

import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

AT = datetime(2026, 1, 1, tzinfo=UTC)
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "Dev", "GIT_AUTHOR_EMAIL": "dev@example.com",
    "GIT_COMMITTER_NAME": "Dev", "GIT_COMMITTER_EMAIL": "dev@example.com",
}  # fmt: skip


def git(path: Path, *arguments: str, stdin: bytes = b"") -> str:
    done = subprocess.run(
        ["git", "-C", str(path), *arguments], input=stdin, capture_output=True, env=ENVIRONMENT, check=True
    )
    return done.stdout.decode().strip()


class GitMaker:
    """A real repository with the writing half of `MemoryRepository`."""

    def __init__(self, path: Path, *, bare: bool) -> None:
        path.mkdir(parents=True)
        git(path, "init", "--quiet", "--initial-branch=main", *(["--bare"] if bare else []))
        self.path = path

    def commit(
        self,
        changes: Mapping[str, bytes | None],
        *,
        branch: str = "main",
        author: str = "dev@example.com",
        subject: str = "change",
        at: datetime = AT,
        modes: Mapping[str, str] | None = None,
    ) -> str:
        who = f"<{author}> {int(at.timestamp())} +0000".encode()
        message = subject.encode()
        lines = [b"commit refs/heads/" + branch.encode(), b"author Dev " + who, b"committer Dev " + who]
        lines += [b"data %d" % len(message), message]
        if self._has(branch):
            lines.append(f"from refs/heads/{branch}^0".encode())
        for path, content in changes.items():
            name = _quoted(path)
            if content is None:
                lines.append(b"D " + name)
            else:
                mode = (modes or {}).get(path, "100644").encode()
                if mode == b"160000":
                    lines.append(b"M 160000 " + content + b" " + name)
                else:
                    lines += [b"M " + mode + b" inline " + name, b"data %d" % len(content), content]
        git(self.path, "fast-import", "--quiet", "--force", stdin=b"\n".join(lines) + b"\n")
        return git(self.path, "rev-parse", f"refs/heads/{branch}")

    def tag(self, name: str, commit: str) -> None:
        git(self.path, "tag", name, commit)

    def _has(self, branch: str) -> bool:
        return bool(git(self.path, "for-each-ref", f"refs/heads/{branch}"))


def _quoted(path: str) -> bytes:
    escaped = (
        path.encode("utf-8", "surrogateescape")
        .replace(b"\\", b"\\\\")
        .replace(b'"', b'\\"')
        .replace(b"\n", b"\\n")
    )
    return b'"' + escaped + b'"'
