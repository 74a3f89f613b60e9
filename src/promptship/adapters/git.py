"""The Git repository, read with Git's plumbing commands: nothing is checked out, no hook or filter runs.

Nothing is written but what `fetch` brings into the mirror of a remote.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Final

from cachetools import LRUCache

from promptship.adapters.git_remote import Remote, no_git
from promptship.errors import ConfigError, NotFound, Problem, Unavailable
from promptship.ports import Commit

TIMEOUT_S: Final = 30.0
BLOB_BYTES_MAX: Final = 16_000_000
"""Contents that are kept: every release of a push reads the same files, each of which would be a process of Git."""
_FILE_MODES: Final = frozenset({"100644", "100755"})  # not symlinks (120000), not submodules (160000)
_FULL: Final = re.compile(r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$")
_ZEROS: Final = re.compile(r"^(?:0{40}|0{64})$")
_PERSON: Final = re.compile(rb"^(author|committer) .*<([^<>\n]*)> (-?\d{1,12})(?: [+-]\d{4})?$", re.MULTILINE)
_SETTINGS: Final = (
    # The service may run as another user than the one who owns the repository. What makes that risky, commands from the
    # repository's configuration, is not run by any of the plumbing below.
    ("-c", "safe.directory=*"),
    # A partial clone must not fetch behind our back.
    ("-c", "protocol.allow=never"),
    ("-c", "core.quotePath=false"),
)


class GitRepository:
    """A bare or non-bare repository on this machine. Safe to share between threads.

    With a remote it is that one's mirror: made when it is not there yet, and a full commit id that is missing is fetched.
    """

    def __init__(self, path: Path, *, remote: Remote | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self._path = path
        self._remote = remote
        self._timeout_s = timeout_s
        self._blobs: LRUCache[str, bytes] = LRUCache(BLOB_BYTES_MAX, getsizeof=len)
        self._reading = threading.Lock()

    def resolve(self, ref: str) -> Commit:
        """Commit of a branch, tag or (short) hash. Raises NotFound; ConfigError when the repository itself is not there."""
        if not ref or ref.startswith(("-", ":", "^")) or not ref.isprintable() or ".." in ref:
            raise NotFound(f"{ref!r} is not a branch, tag or commit")
        asked = ("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        found = self._git(*asked)
        if found is None and self._remote is not None and _FULL.match(ref):
            self.fetch()
            found = self._git(*asked)
        if found is None:
            raise NotFound(
                f"no branch, tag or commit {ref} in {self._path} (or a short hash that fits several)"
            )
        return self._commit(found.decode("ascii").strip())

    def tree(self, commit: str) -> GitTree:
        """The files of a commit. Raises NotFound."""
        return GitTree(self, self.resolve(commit).id)

    def changed(self, before: str, after: str) -> Sequence[str]:
        """Paths whose content was added or modified from `before` to `after`, sorted; a renamed file is listed under its new path."""
        if _ZEROS.match(before):
            return self.tree(after).files()
        old, new = self.resolve(before).id, self.resolve(after).id
        raw = self._git("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", old, new)
        if raw is None:
            raise NotFound(f"commits {old[:10]} and {new[:10]} cannot be compared in {self._path}")
        fields = raw.split(b"\0")
        paths = set()
        for what, path in zip(fields[::2], fields[1::2], strict=False):
            _, mode, old_blob, new_blob, _ = what.decode("ascii").split(" ")
            name = _path(path)
            if mode in _FILE_MODES and old_blob != new_blob and name is not None:
                paths.add(name)
        return tuple(sorted(paths))

    def removed(self, before: str, after: str) -> Sequence[str]:
        """Paths that `before` has and `after` has not. `before` all zeros: none. Raises NotFound."""
        if _ZEROS.match(before):
            return ()
        old, new = self.tree(before).files(), frozenset(self.tree(after).files())
        return tuple(path for path in old if path not in new)

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether `newer` was built on `older`; a commit is its own ancestor. Raises NotFound."""
        if _FULL.match(older) and _FULL.match(newer):
            said = self._run("merge-base", "--is-ancestor", older, newer).returncode
            if said in {0, 1}:
                return said == 0
        commits = self.resolve(older).id, self.resolve(newer).id
        return self._git("merge-base", "--is-ancestor", *commits) is not None

    def merge_base(self, one: str, other: str) -> str | None:
        """Newest commit that both were built on; None: they have nothing in common. Raises NotFound."""
        found = self._git("merge-base", self.resolve(one).id, self.resolve(other).id)
        return None if found is None else found.decode("ascii").split()[0]

    def fetch(self, *refs: str) -> None:
        """Bring in the remote's branches and tags, and these references beside them; without a remote nothing happens.

        Raises:
            Unavailable: the remote does not answer, does not let us in, or takes longer than its deadline.
        """
        if self._remote is not None:
            self._remote.fetch(self._path, *refs)

    def listing(self, commit: str) -> dict[str, str]:
        """Blob of every regular file of a commit, by path."""
        raw = self._git("ls-tree", "-r", "-z", "--full-tree", commit)
        if raw is None:
            raise NotFound(f"no commit {commit} in {self._path}")
        blobs = {}
        for entry in filter(None, raw.split(b"\0")):
            what, _, path = entry.partition(b"\t")
            mode, _, blob = what.decode("ascii").split(" ")
            name = _path(path)
            if mode in _FILE_MODES and name is not None:
                blobs[name] = blob
        return blobs

    def blob(self, blob: str) -> bytes:
        """Content of a blob, which never changes: the last ones are kept. Raises NotFound."""
        with self._reading:
            kept = self._blobs.get(blob)
        if kept is not None:
            return kept
        content = self._git("cat-file", "blob", blob)
        if content is None:
            raise NotFound(f"object {blob} is missing in {self._path}; run `git fsck` there")
        if len(content) <= BLOB_BYTES_MAX:
            with self._reading:
                self._blobs[blob] = content
        return content

    def _commit(self, commit: str) -> Commit:
        raw = self._git("cat-file", "commit", commit)
        if raw is None:
            raise NotFound(f"no commit {commit} in {self._path}")
        head, _, message = raw.partition(b"\n\n")
        people = {match[1]: match for match in _PERSON.finditer(head)}
        author, committer = people.get(b"author"), people.get(b"committer")
        subject = message.lstrip(b"\n").partition(b"\n\n")[0]
        return Commit(
            id=commit,
            author=_text(author[2]).strip().lower() if author else "",
            at=_moment(int(committer[3]) if committer else 0),
            subject=" ".join(_text(subject).split()),
        )

    def _git(self, *arguments: str) -> bytes | None:
        """Output of a Git command; None when it says no. A missing Git or repository is an error of its own."""
        done = self._run(*arguments)
        if done.returncode == 0:
            return done.stdout
        if self._run("rev-parse", "--git-dir").returncode == 0:
            return None
        if self._remote is None:
            raise ConfigError([self._no_repository(done.stderr)])
        self.fetch()
        done = self._run(*arguments)
        return done.stdout if done.returncode == 0 else None

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        options = [word for pair in _SETTINGS for word in pair]
        command = [
            "git",
            "--no-optional-locks",
            "--no-replace-objects",
            *options,
            "-C",
            str(self._path),
            *arguments,
        ]
        try:
            return subprocess.run(  # noqa: S603 - no shell; references are checked, hashes come from Git
                command, env=_environment(self._path), capture_output=True, stdin=subprocess.DEVNULL,
                timeout=self._timeout_s, check=False,
            )  # fmt: skip
        except FileNotFoundError:
            raise no_git() from None
        except subprocess.TimeoutExpired:
            raise Unavailable(
                f"git {arguments[0]} in {self._path} took longer than {self._timeout_s:.0f} s"
            ) from None

    def _no_repository(self, stderr: bytes) -> Problem:
        if not self._path.is_dir():
            advice = "correct the path, or make the repository with `git init --bare`"
        else:
            advice = (
                _text(stderr).strip().removeprefix("fatal: ").splitlines()[0]
                if stderr.strip()
                else "run `git init` there"
            )
        return Problem(
            "promptship.toml", "repository.url", str(self._path), "expected a Git repository", advice
        )


class GitTree:
    """The regular files of one commit; symbolic links and submodules are left out, and so are paths that are not UTF-8."""

    def __init__(self, repository: GitRepository, commit: str) -> None:
        self._repository = repository
        self._commit = commit

    @property
    def name(self) -> str:
        """Short commit."""
        return self._commit[:12]

    def read(self, path: str) -> bytes:
        """Content, byte for byte as committed. Raises NotFound."""
        blob = self._blobs.get(path)
        if blob is None:
            raise NotFound(f"no file {path} at {self.name}")
        return self._repository.blob(blob)

    def files(self) -> Sequence[str]:
        """Every path, sorted."""
        return tuple(sorted(self._blobs))

    @cached_property
    def _blobs(self) -> dict[str, str]:
        return self._repository.listing(self._commit)


def _environment(path: Path) -> dict[str, str]:
    """Ours without Git's own variables: inside a hook they point at another repository and its quarantine."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment.update(
        LC_ALL="C",
        GIT_TERMINAL_PROMPT="0",
        GIT_NO_LAZY_FETCH="1",
        # A path that is no repository must not silently become the one around it.
        GIT_CEILING_DIRECTORIES=str(path.resolve().parent),
    )
    return environment


def _path(raw: bytes) -> str | None:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace")


def _moment(unix_s: int) -> datetime:
    try:
        return datetime.fromtimestamp(unix_s, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)  # Git stores any number; nothing is decided by it
