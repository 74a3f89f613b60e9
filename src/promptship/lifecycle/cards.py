"""The cards of a release as it stands: one place for those that are posted, edited and put right later."""

from __future__ import annotations

import logging

from promptship.errors import ConfigError, NotFound, PromptshipError
from promptship.lifecycle.app import App
from promptship.ports import Card
from promptship.prompts.diff import PromptDiff, diff
from promptship.prompts.diff_text import to_markdown
from promptship.prompts.digest import from_canonical
from promptship.release.environment import prompt_of
from promptship.release.history import Release
from promptship.release.phase import Phase
from promptship.render.card import approval_card, outcome_card
from promptship.render.chart import release_chart

_log = logging.getLogger(__name__)


def question_card(app: App, release: Release) -> Card:
    """The card that asks."""
    change = change_of(app, release)
    text = to_markdown(change) if change is not None else ""
    return approval_card(release, diff=text, url=page_of(app, release.id), chart=release_chart(release))


def settled_card(app: App, release: Release) -> Card:
    """The card of a question that is over."""
    return outcome_card(release, url=page_of(app, release.id))


def refresh_cards(app: App, release_id: str) -> None:
    """Edit every card of a release into what it is now. A card that cannot be edited is left: the ledger is the truth."""
    try:
        release = app.release(release_id)
        if not release.asked:
            return
        *earlier, last = release.asked
        for asked in earlier:
            app.approvals.update(asked.channel, asked.reference, settled_card(app, release))
        # A question that is not delivered yet has no card; what was asked before it is over.
        waits = release.phase is Phase.AWAITING_APPROVAL and release.is_delivered
        card = question_card(app, release) if waits else settled_card(app, release)
        app.approvals.update(last.channel, last.reference, card)
    except PromptshipError as error:
        _log.warning("the card of release %s could not be updated: %s", release_id, error)


def change_of(app: App, release: Release) -> PromptDiff | None:
    """What the release changes in the prompt; None without two versions that can be compared."""
    if release.version is None or release.stable is None:
        return None
    try:
        before, after = app.routes.version(release.stable), app.routes.version(release.version)
        prompts = [from_canonical(prompt_of(release.prompt), version.content) for version in (before, after)]
    except (ConfigError, NotFound) as error:
        _log.warning("release %s shows no change: %s", release.id, error)
        return None
    return diff(prompts[0], prompts[1])


def page_of(app: App, release_id: str) -> str:
    """Address of the release's page; empty when the control plane has none that others can open."""
    address = app.settings.server.public_url.rstrip("/")
    return f"{address}/releases/{release_id}" if address else ""
