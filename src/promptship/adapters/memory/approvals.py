"""Approvals that keep the cards, for tests and simulations."""

from __future__ import annotations

from promptship.errors import NotFound, Unavailable
from promptship.ports import Card


class MemoryApprovals:
    """Keeps every card as it was last seen. Set `down` to make it unreachable."""

    def __init__(self, channel: str = "memory") -> None:
        self.channel = channel
        self.cards: dict[tuple[str, str], Card] = {}
        """The latest form of each delivered card by (channel, reference)."""
        self.told: list[tuple[str, str]] = []
        """(channel, text) of every notice."""
        self.groups: dict[str, frozenset[str]] = {}
        """Members of each user group."""
        self.emails: dict[str, str] = {}
        """E-mail addresses of users."""
        self.down = False

    def ask(self, card: Card) -> tuple[str, str]:
        """Deliver the card; returns (channel, reference)."""
        self._answer()
        where = (self.channel, f"{self.channel}:{len(self.cards) + 1}")
        self.cards[where] = card
        return where

    def update(self, channel: str, reference: str, card: Card) -> None:
        """Edit a delivered card. Raises NotFound for one that never was."""
        self._answer()
        if (channel, reference) not in self.cards:
            raise NotFound(f"no card {reference} in {channel}")
        self.cards[channel, reference] = card

    def tell(self, channel: str | None, text: str) -> None:
        """A plain notice."""
        self._answer()
        self.told.append((channel or self.channel, text))

    def members(self, group: str) -> frozenset[str]:
        """User ids of a user group; Unavailable for one that nobody knows."""
        self._answer()
        if group not in self.groups:
            raise Unavailable(f"there is no user group {group}")
        return self.groups[group]

    def email(self, user: str) -> str:
        """E-mail address of a user; empty: not told."""
        self._answer()
        return self.emails.get(user, "").lower()

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("approvals are down")
