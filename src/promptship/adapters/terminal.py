"""Approval without Slack: people look at `promptship release show` and answer with `promptship approve` or `reject`."""

from __future__ import annotations

import logging

from promptship.errors import Unavailable
from promptship.ports import Card
from promptship.render.redact import redact

_log = logging.getLogger(__name__)


class LogApprovals:
    """Asks nobody by itself: the question stands in the ledger, and a line in the log says so."""

    def ask(self, card: Card) -> tuple[str, str]:
        """Returns ("terminal", release id)."""
        _log.info("release %s waits for `promptship approve` or `promptship reject`", card.release_id)
        return "terminal", card.release_id

    def update(self, channel: str, reference: str, card: Card) -> None:  # noqa: ARG002 - nothing was delivered
        """The ledger holds the outcome; nothing to edit."""
        _log.info("release %s: decided", card.release_id)

    def tell(self, channel: str | None, text: str) -> None:
        """Into the log."""
        _log.info("notice%s: %s", f" for {channel}" if channel else "", redact(text))

    def members(self, group: str) -> frozenset[str]:
        """Nobody can be asked here."""
        raise Unavailable(f"Slack is not configured here, and knows who is in the user group {group}")

    def email(self, user: str) -> str:  # noqa: ARG002 - nobody to ask
        """Not told here."""
        return ""
