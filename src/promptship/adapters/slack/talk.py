"""Talking to one person in Slack: opening a modal, and words that only he sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slack_sdk import WebClient

from promptship.adapters.slack.api import SlackApi
from promptship.adapters.slack.approvals import client_for
from promptship.adapters.slack.blocks import FALLBACK_LENGTH_MAX, escape
from promptship.errors import Unavailable
from promptship.render.redact import redact
from promptship.settings import Settings


class SlackTalk:
    """`views.open` and `chat.postEphemeral`. Without a client everything is Unavailable."""

    def __init__(self, client: WebClient | None) -> None:
        self._api = None if client is None else SlackApi(client)

    def open(self, trigger_id: str, view: Mapping[str, Any]) -> None:
        """Show a modal to whoever caused the trigger. Raises Unavailable or ConfigError."""
        api = self._ready()
        api.call(api.client.views_open, trigger_id=trigger_id, view=view)

    def whisper(self, channel: str, user: str, text: str) -> None:
        """Say something in a channel that only this person sees. Raises Unavailable or ConfigError."""
        api = self._ready()
        said = escape(redact(text))[:FALLBACK_LENGTH_MAX]
        api.call(api.client.chat_postEphemeral, channel=channel, user=user, text=said, parse="none")

    def _ready(self) -> SlackApi:
        if self._api is None:
            raise Unavailable("there is no bot token here")
        return self._api


def talk_for(settings: Settings, environ: Mapping[str, str]) -> SlackTalk:
    """With the bot token of the environment, if there is one."""
    return SlackTalk(client_for(settings, environ))
