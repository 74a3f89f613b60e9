"""Approval cards and notices in a Slack channel."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from slack_sdk import WebClient

from promptship.adapters.slack.api import TIMEOUT_S, SlackApi
from promptship.adapters.slack.blocks import FALLBACK_LENGTH_MAX, blocks, escape, fallback
from promptship.adapters.slack.people import SlackPeople
from promptship.adapters.slack.picture import png
from promptship.adapters.terminal import LogApprovals
from promptship.errors import PromptshipError, Unavailable
from promptship.ports import Approvals, Card
from promptship.render.redact import redact
from promptship.settings import Settings

_log = logging.getLogger(__name__)


class SlackApprovals:
    """Posts with `chat.postMessage`, edits with `chat.update`; the chart is a file in the card's thread."""

    def __init__(self, client: WebClient, channel: str) -> None:
        self._api = SlackApi(client)
        self._client = client
        self._channel = channel
        self._people = SlackPeople(self._api)

    def ask(self, card: Card) -> tuple[str, str]:
        """Post the card; returns (channel id, `channel id:ts`).

        Raises:
            ConfigError: token or channel are wrong.
            Unavailable: Slack did not answer, is rate limiting, or has trouble of its own.
        """
        answer = self._api.call(
            self._client.chat_postMessage, channel=self._channel, text=fallback(card), blocks=blocks(card),
            parse="none", link_names=False, unfurl_links=False, unfurl_media=False,
        )  # fmt: skip
        channel, posted = answer.get("channel"), answer.get("ts")
        if not isinstance(channel, str) or not isinstance(posted, str):
            raise Unavailable("Slack took the card but did not say where it stands")
        if card.chart:
            self._show(channel, posted, card)
        return channel, f"{channel}:{posted}"

    def _show(self, channel: str, posted: str, card: Card) -> None:
        """The chart below the card. The card stands: nothing that happens here may have it posted again."""
        try:
            picture = png(card.chart)
            if picture is not None:
                self._api.call(
                    self._client.files_upload_v2, channel=channel, thread_ts=posted, content=picture,
                    filename=f"{card.release_id}.png", title="Canary", alt_txt=fallback(card),
                )  # fmt: skip
        except PromptshipError as error:
            _log.warning("the card of release %s goes without its chart: %s", card.release_id, error)
        except Exception:  # noqa: BLE001 - see above
            _log.exception("the card of release %s goes without its chart", card.release_id)

    def update(self, channel: str, reference: str, card: Card) -> None:
        """Edit a delivered card; one that somebody deleted is left alone. Raises as `ask` does."""
        self._api.call(
            self._client.chat_update, channel=channel, ts=reference.rpartition(":")[2], text=fallback(card),
            blocks=blocks(card), parse="none", link_names=False,
        )  # fmt: skip

    def tell(self, channel: str | None, text: str) -> None:
        """A plain notice. Raises as `ask` does."""
        self._api.call(
            self._client.chat_postMessage, channel=channel or self._channel,
            text=escape(redact(text))[:FALLBACK_LENGTH_MAX], parse="none", link_names=False, mrkdwn=False,
            unfurl_links=False, unfurl_media=False,
        )  # fmt: skip

    def members(self, group: str) -> frozenset[str]:
        """User ids of a user group. Raises Unavailable."""
        return self._people.members(group)

    def email(self, user: str) -> str:
        """E-mail address of a user; empty: the app may not read it. Raises Unavailable."""
        return self._people.email(user)


def approvals_for(settings: Settings, environ: Mapping[str, str]) -> Approvals:
    """Slack when a channel is configured and the token is in the environment; otherwise the terminal.

    A missing token is a warning, not an error: a laptop may read the releases of an installation whose token it has not.
    """
    client = client_for(settings, environ)
    if client is not None:
        return SlackApprovals(client, settings.slack.channel)
    if settings.slack.channel:
        _log.warning(
            "nobody is asked in Slack: %s is not set; use `promptship approve`", settings.slack.token_env
        )
    return LogApprovals()


def client_for(settings: Settings, environ: Mapping[str, str]) -> WebClient | None:
    """A client with the bot token; None without a channel or a token."""
    token = environ.get(settings.slack.token_env, "").strip()
    if not settings.slack.channel or not token:
        return None
    return WebClient(token=token, base_url=settings.slack.base_url.rstrip("/") + "/", timeout=TIMEOUT_S)
