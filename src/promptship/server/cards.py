"""Keeps delivered cards in step with the ledger after a decision."""

from __future__ import annotations

from promptship.lifecycle.cards import change_of, refresh_cards

__all__ = ["change_of", "refresh_cards"]
