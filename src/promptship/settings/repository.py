"""Where the prompts are, and where the state of their releases is."""

from __future__ import annotations

from promptship.settings.section import Section


class RepositorySettings(Section):
    """Where the prompts are."""

    url: str = "."
    """Path of the Git repository (bare or not), relative to promptship.toml."""
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
