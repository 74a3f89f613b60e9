"""Where people are asked and told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """An approval card or a notice, before it becomes Block Kit. All texts are already redacted."""

    release_id: str
    seq: int
    """Seq of the approval request: a click carries it, so that an old card is recognised."""
    title: str
    lines: tuple[str, ...]
    """Markdown lines of evidence."""
    diff: str = ""
    """What changed in the prompt, Markdown (`promptship.prompts.diff_text.to_markdown`) or plain."""
    ask: bool = True
    """Whether Approve and Reject are shown; False once decided."""
    undo: bool = False
    """Whether Roll back is shown: what it released serves everybody."""
    outcome: str = ""
    url: str = ""
    """Page of the release on the control plane; empty: it has no address that others can open."""
    chart: str = ""
    """The canary's verdict as an SVG; empty: there is none."""


class Approvals(Protocol):
    """Where people are asked and told, and who they are."""

    def ask(self, card: Card) -> tuple[str, str]:
        """Deliver the card; returns (channel, reference) to edit it later. A chart that cannot be delivered is left out."""
        ...

    def update(self, channel: str, reference: str, card: Card) -> None:
        """Edit a delivered card, usually into its outcome."""
        ...

    def tell(self, channel: str | None, text: str) -> None:
        """A plain notice; None is the configured channel."""
        ...

    def members(self, group: str) -> frozenset[str]:
        """User ids of a user group. Raises Unavailable whenever it cannot be told: nobody approves on a guess."""
        ...

    def email(self, user: str) -> str:
        """E-mail address of a user, lower case; empty: it is not told here. Raises Unavailable."""
        ...
