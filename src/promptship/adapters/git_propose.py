"""Proposals in Git, made with its plumbing: an index of their own, no working directory, no hook, no filter."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from promptship import __version__
from promptship.adapters.git_remote import Remote, no_git
from promptship.errors import ConfigError, Conflict, NotFound, Problem, Unavailable
from promptship.ports.catalogue import Proposed

TIMEOUT_S: Final = 60.0
_COMMITTER: Final = f"promptship {__version__}"
_BRANCH: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
_ENTRY: Final = re.compile(rb"(100644|100755) blob [0-9a-f]+\t")
_SETTINGS: Final = (
    "-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false",
)  # fmt: skip


class GitProposals:
    """`Proposals` in a repository on this machine, bare or not.

    `remote`: name of one that is pushed to when the repository has it; or, of a mirror, what it mirrors: a branch that is not there, too,
    would be gone with the next fetch.
    """

    def __init__(self, path: Path, *, remote: str | Remote = "origin", timeout_s: float = TIMEOUT_S) -> None:
        self._path = path
        self._remote = remote
        self._timeout_s = timeout_s

    def propose(
        self, branch: str, *, base: str, files: Mapping[str, bytes], message: str, author: str, at: datetime
    ) -> Proposed:
        """See `promptship.ports.catalogue.Proposals`."""
        if _BRANCH.fullmatch(branch) is None or ".." in branch:
            got = Problem("branch", "", repr(branch), "expected a name of letters, digits and . _ / -")
            raise ConfigError([got])
        parent = self._said("rev-parse", "--verify", "--quiet", f"{base}^{{commit}}")
        if base.startswith("-") or parent is None:
            raise NotFound(f"no commit {base} in {self._path}")
        tree = self._tree(parent, files)
        ref = f"refs/heads/{branch}"
        commit = self._said("rev-parse", "--verify", "--quiet", ref)
        if commit is None:
            commit = self._committed(tree, parent, message, author, at)
            # Only if it is still not there: two who propose at once are told apart by Git.
            if self._run("update-ref", ref, commit, "0" * len(commit)).returncode != 0:
                commit = self._must("rev-parse", "--verify", "--quiet", ref)
        if self._must("rev-parse", f"{commit}^{{tree}}") != tree:
            raise Conflict(f"branch {branch} is there already and holds something else; merge or delete it")
        return Proposed(branch=branch, commit=commit, pushed_to=self._pushed(ref))

    def _tree(self, parent: str, files: Mapping[str, bytes]) -> str:
        """The parent's tree with these files in it; their modes stay."""
        with tempfile.TemporaryDirectory(prefix="promptship-propose-") as place:
            index = {"GIT_INDEX_FILE": str(Path(place) / "index")}
            self._must("read-tree", parent, env=index)
            for path, content in sorted(files.items()):
                listed = self._run("ls-tree", "-z", "--full-tree", parent, "--", f":(literal){path}").stdout
                entry = _ENTRY.match(listed)
                if entry is None:
                    raise NotFound(f"no file {path} at {parent[:12]}")
                blob = self._must("hash-object", "-w", "--stdin", stdin=content)
                info = f"{entry[1].decode()} {blob}\t{path}\0".encode()
                self._must("update-index", "-z", "--index-info", env=index, stdin=info)
            return self._must("write-tree", env=index)

    def _committed(self, tree: str, parent: str, message: str, author: str, at: datetime) -> str:
        moment = f"{int(at.timestamp())} +0000"
        who = {
            "GIT_AUTHOR_NAME": author.partition("@")[0] or author, "GIT_AUTHOR_EMAIL": author, "GIT_AUTHOR_DATE": moment,
            "GIT_COMMITTER_NAME": _COMMITTER, "GIT_COMMITTER_EMAIL": author, "GIT_COMMITTER_DATE": moment,
        }  # fmt: skip
        return self._must("commit-tree", tree, "-p", parent, env=who, stdin=message.encode())

    def _pushed(self, ref: str) -> str:
        """Name of the remote that has the branch now; empty: there is none."""
        if isinstance(self._remote, Remote):
            try:
                self._remote.push(self._path, ref)
            except Unavailable as error:
                raise Unavailable(f"{self._remote.shown} does not take {ref}: {error}") from None
            return self._remote.shown
        if not self._remote or self._remote not in (self._said("remote") or "").split("\n"):
            return ""
        done = self._run("push", "--quiet", "--no-verify", self._remote, f"{ref}:{ref}")
        if done.returncode != 0:
            # Its words may quote an address with a password in it.
            raise Unavailable(
                f"remote {self._remote} of {self._path} does not take {ref}; it is here, `git push` shows why"
            )
        return self._remote

    def _said(self, *arguments: str) -> str | None:
        done = self._run(*arguments)
        return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None

    def _must(self, *arguments: str, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> str:
        done = self._run(*arguments, env=env, stdin=stdin)
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip().removeprefix("fatal: ").partition("\n")[0]
            raise Unavailable(f"git {arguments[0]} in {self._path} failed: {said or done.returncode}")
        return done.stdout.decode("utf-8", "replace").strip()

    def _run(
        self, *arguments: str, env: Mapping[str, str] | None = None, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        plain |= {
            "LC_ALL": "C",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CEILING_DIRECTORIES": str(self._path.resolve().parent),
        }
        command = ["git", "--no-replace-objects", *_SETTINGS, "-C", str(self._path), *arguments]
        try:
            return subprocess.run(  # noqa: S603 - no shell; names are checked, hashes come from Git
                command, env={**plain, **(env or {})}, input=stdin, capture_output=True, timeout=self._timeout_s, check=False
            )  # fmt: skip
        except FileNotFoundError:
            raise no_git() from None
        except subprocess.TimeoutExpired:
            said = f"git {arguments[0]} in {self._path} took longer than {self._timeout_s:.0f} s"
            raise Unavailable(said) from None
