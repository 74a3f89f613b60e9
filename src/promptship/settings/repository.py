"""Where the prompts are, and where the state of their releases is."""

from __future__ import annotations

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from promptship.release.duration import Duration
from promptship.settings.section import Section

_SCHEMES: Final = frozenset({"https", "http", "ssh", "git", "file"})


def _without_secret(remote: str) -> str:
    """The address, when Git can fetch from it and it holds no password. Raises ValueError."""
    if "://" not in remote:
        # A path, or scp's `user@host:path`; never an option, and none of Git's helpers (`ext::sh -c ...`).
        fits = not remote.startswith("-") and "::" not in remote and remote.isprintable()
    else:
        try:
            parts = urlsplit(remote)
            host, secret = parts.hostname or "", parts.password
        except ValueError:
            host, secret, parts = "", "", urlsplit("")
        fits = parts.scheme in _SCHEMES and secret is None and not re.search(r"[\s?#]", remote)
        fits = fits and (parts.scheme == "file" or (bool(host) and not host.startswith("-")))
        fits = fits and not (parts.scheme in {"http", "https"} and parts.username)
    if not fits:
        raise PydanticCustomError(
            "remote", "expected a path or an address for `git fetch` without user's password or token in it"
        )
    return remote


class RepositorySettings(Section):
    """Where the prompts are."""

    url: str = "."
    """Path of the Git repository (bare or not), relative to promptship.toml."""
    remote: Annotated[str, AfterValidator(_without_secret)] = ""
    """`https://host/owner/name.git`, `git@host:owner/name.git` or a path: fetched into `<data_dir>/mirror.git`, which is then read
    instead of `url`. The token is that of `[github]` or `[gitlab]`; it is never part of the address."""
    poll: Duration | None = None
    """How often the watcher looks for pushes to the remote when nobody announces them, 10s or more; empty: never."""
    fetch_timeout: Annotated[Duration, Field(gt=0)] = 60.0
    """Deadline of one fetch."""
    branch: str = "main"
    """Pushes to this branch are released."""
    prompts: tuple[str, ...] = ("prompts/**",)
    """Globs of prompt files."""
    suites: str = "suites"
    """Directory of suites."""


class LedgerSettings(Section):
    """Release state."""

    url: str = ""
    """SQLAlchemy URL; empty: SQLite at `<data_dir>/ledger.db`."""
