"""Keeps delivered cards in step with the ledger after a decision."""

from __future__ import annotations

import logging

from promptship.errors import ConfigError, NotFound, PromptshipError
from promptship.lifecycle.app import App
from promptship.prompts.diff import PromptDiff, diff
from promptship.prompts.diff_text import to_markdown
from promptship.prompts.digest import from_canonical
from promptship.release.history import Release
from promptship.release.phase import Phase
from promptship.render.card import approval_card, outcome_card

_log = logging.getLogger(__name__)


def refresh_cards(app: App, release_id: str) -> None:
    """Edit every card of a release into what it is now. A card that cannot be edited is left: the ledger is the truth."""
    try:
        release = app.release(release_id)
        if not release.asked:
            return
        waits = release.phase is Phase.AWAITING_APPROVAL
        change = change_of(app, release) if waits else None
        text = to_markdown(change) if change is not None else ""
        *earlier, last = release.asked
        for asked in earlier:
            app.approvals.update(asked.channel, asked.reference, outcome_card(release))
        # A question that is not delivered yet has no card; what was asked before it is over.
        card = approval_card(release, diff=text) if waits and release.is_delivered else outcome_card(release)
        app.approvals.update(last.channel, last.reference, card)
    except PromptshipError as error:
        _log.warning("the card of release %s could not be updated: %s", release_id, error)


def change_of(app: App, release: Release) -> PromptDiff | None:
    """What the release changes in the prompt; None without two versions that can be compared."""
    if release.version is None or release.stable is None:
        return None
    try:
        before, after = app.routes.version(release.stable), app.routes.version(release.version)
        prompts = [from_canonical(release.prompt, version.content) for version in (before, after)]
    except (ConfigError, NotFound):
        return None
    return diff(prompts[0], prompts[1])
