"""Approval cards and notices in a Slack channel."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any, Final

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from promptship.adapters.slack.blocks import FALLBACK_LENGTH_MAX, blocks, escape, fallback
from promptship.adapters.terminal import LogApprovals
from promptship.errors import ConfigError, Problem, PromptshipError, Unavailable
from promptship.ports import Approvals, Card
from promptship.render.redact import redact
from promptship.settings import Settings

_log = logging.getLogger(__name__)

TIMEOUT_S: Final = 10
_ADVICE: Final = {
    "invalid_auth": ("slack.token_env", "put the bot token (xoxb-…) of the app into the variable it names"),
    "not_authed": ("slack.token_env", "put the bot token (xoxb-…) of the app into the variable it names"),
    "account_inactive": ("slack.token_env", "install the app into the workspace again"),
    "token_revoked": ("slack.token_env", "install the app into the workspace again"),
    "token_expired": ("slack.token_env", "install the app into the workspace again"),
    "missing_scope": ("slack.token_env", "give the app the scope chat:write and install it again"),
    "channel_not_found": (
        "slack.channel",
        "name a channel of the workspace, for example C0123456789 or #releases",
    ),
    "not_in_channel": ("slack.channel", "invite the app: /invite @promptship in that channel"),
    "is_archived": ("slack.channel", "name a channel that is in use"),
    "restricted_action": ("slack.channel", "allow the app to post there"),
}
_GONE: Final = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
"""Somebody deleted the card, or Slack no longer lets us edit it: nothing to mend, and no reason to stop."""


class SlackApprovals:
    """Posts with `chat.postMessage`, edits with `chat.update`."""

    def __init__(self, client: WebClient, channel: str) -> None:
        # A post that was sent but not answered must not be sent again by the library: the caller knows whether it is asked.
        client.retry_handlers = []
        self._client = client
        self._channel = channel

    def ask(self, card: Card) -> tuple[str, str]:
        """Post the card; returns (channel id, `channel id:ts`).

        Raises:
            ConfigError: token or channel are wrong.
            Unavailable: Slack did not answer, is rate limiting, or has trouble of its own.
        """
        answer = self._call(
            self._client.chat_postMessage, channel=self._channel, text=fallback(card), blocks=blocks(card),
            parse="none", link_names=False, unfurl_links=False, unfurl_media=False,
        )  # fmt: skip
        channel, posted = answer.get("channel"), answer.get("ts")
        if not isinstance(channel, str) or not isinstance(posted, str):
            raise Unavailable("Slack took the card but did not say where it stands")
        return channel, f"{channel}:{posted}"

    def update(self, channel: str, reference: str, card: Card) -> None:
        """Edit a delivered card; one that somebody deleted is left alone. Raises as `ask` does."""
        self._call(
            self._client.chat_update, channel=channel, ts=reference.rpartition(":")[2], text=fallback(card),
            blocks=blocks(card), parse="none", link_names=False,
        )  # fmt: skip

    def tell(self, channel: str | None, text: str) -> None:
        """A plain notice. Raises as `ask` does."""
        self._call(
            self._client.chat_postMessage, channel=channel or self._channel,
            text=escape(redact(text))[:FALLBACK_LENGTH_MAX], parse="none", link_names=False, mrkdwn=False,
            unfurl_links=False, unfurl_media=False,
        )  # fmt: skip

    def _call(self, method: Callable[..., Any], **arguments: Any) -> Mapping[str, Any]:
        try:
            data = method(**arguments).data
        except SlackApiError as error:
            if _code(error) in _GONE:
                return {}
            raise _meaning(error, str(arguments["channel"])) from error
        except (SlackClientError, OSError, HTTPException, ValueError, AttributeError) as error:
            # AttributeError: the library's answer to a body that is JSON but no object.
            raise Unavailable(f"Slack does not answer ({type(error).__name__})") from error
        return data if isinstance(data, dict) else {}


def approvals_for(settings: Settings, environ: Mapping[str, str]) -> Approvals:
    """Slack when a channel is configured and the token is in the environment; otherwise the terminal.

    A missing token is a warning, not an error: a laptop may read the releases of an installation whose token it has not.
    """
    slack = settings.slack
    token = environ.get(slack.token_env, "").strip()
    if slack.channel and token:
        base_url = slack.base_url.rstrip("/") + "/"
        return SlackApprovals(WebClient(token=token, base_url=base_url, timeout=TIMEOUT_S), slack.channel)
    if slack.channel:
        _log.warning("nobody is asked in Slack: %s is not set; use `promptship approve`", slack.token_env)
    return LogApprovals()


def _meaning(error: SlackApiError, channel: str) -> PromptshipError:
    """What Slack's no means for us."""
    code, status = _code(error), getattr(error.response, "status_code", 0)
    if status == 429 or code in {"ratelimited", "rate_limited"}:  # noqa: PLR2004
        headers = {
            name.lower(): value for name, value in (getattr(error.response, "headers", None) or {}).items()
        }
        after = str(headers.get("retry-after", ""))
        return Unavailable(
            "Slack asks us to slow down", retry_after_s=float(after) if after.isdecimal() else None
        )
    if code in _ADVICE:
        key, advice = _ADVICE[code]
        got = f"{channel if key == 'slack.channel' else 'refused by Slack'} ({code})"
        return ConfigError([Problem("promptship.toml", key, got, "expected what Slack accepts", advice)])
    return Unavailable(f"Slack answered {code or status}")


def _code(error: SlackApiError) -> str:
    """Slack's word for what is wrong; empty when the answer was not Slack's."""
    data = getattr(error.response, "data", error.response)
    code = data.get("error") if isinstance(data, dict) else None
    return code if isinstance(code, str) else ""
