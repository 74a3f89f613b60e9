"""Calls of Slack's Web API: one meaning for every way they fail, and no call before Slack wants one again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any, Final

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from promptship.errors import ConfigError, Problem, PromptshipError, Unavailable

TIMEOUT_S: Final = 10
_ADVICE: Final = {
    "invalid_auth": ("slack.token_env", "put the bot token (xoxb-…) of the app into the variable it names"),
    "not_authed": ("slack.token_env", "put the bot token (xoxb-…) of the app into the variable it names"),
    "account_inactive": ("slack.token_env", "install the app into the workspace again"),
    "token_revoked": ("slack.token_env", "install the app into the workspace again"),
    "token_expired": ("slack.token_env", "install the app into the workspace again"),
    "missing_scope": ("slack.token_env", "give the app the scopes of its manifest and install it again"),
    "channel_not_found": (
        "slack.channel",
        "name a channel of the workspace, for example C0123456789 or #releases",
    ),
    "not_in_channel": ("slack.channel", "invite the app: /invite @promptship in that channel"),
    "is_archived": ("slack.channel", "name a channel that is in use"),
    "restricted_action": ("slack.channel", "allow the app to post there"),
}
GONE: Final = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
"""Somebody deleted the card, or Slack no longer lets us edit it: nothing to mend, and no reason to stop."""


class SlackApi:
    """A `WebClient` whose failures are ours."""

    def __init__(self, client: WebClient, *, clock: Callable[[], float] = time.monotonic) -> None:
        # A post that was sent but not answered must not be sent again by the library: the caller knows whether it is asked.
        client.retry_handlers = []
        self.client = client
        self._clock = clock
        self._not_before: dict[str, float] = {}
        """Method -> monotonic time until which Slack wants no further call of it."""

    def call(self, method: Callable[..., Any], **arguments: Any) -> Mapping[str, Any]:
        """What Slack answers; empty when the message it is about is gone.

        Raises:
            ConfigError: token, scope or channel are wrong.
            Unavailable: Slack did not answer, is rate limiting, or has trouble of its own.
        """
        name = getattr(method, "__name__", "call")
        left_s = self._not_before.get(name, 0.0) - self._clock()
        if left_s > 0:
            raise Unavailable("Slack asks us to slow down", retry_after_s=left_s)
        try:
            answer = method(**arguments)
            data = getattr(answer, "data", None)
        except SlackApiError as error:
            if code_of(error) in GONE:
                return {}
            meaning = _meaning(error, str(arguments.get("channel", "")))
            if isinstance(meaning, Unavailable) and meaning.retry_after_s:
                self._not_before[name] = self._clock() + meaning.retry_after_s
            raise meaning from error
        except (SlackClientError, OSError, HTTPException, ValueError, AttributeError) as error:
            # AttributeError: the library's answer to a body that is JSON but no object.
            raise Unavailable(f"Slack does not answer ({type(error).__name__})") from error
        return data if isinstance(data, dict) else {}


def code_of(error: SlackApiError) -> str:
    """Slack's word for what is wrong; empty when the answer was not Slack's."""
    data = getattr(error.response, "data", error.response)
    code = data.get("error") if isinstance(data, dict) else None
    return code if isinstance(code, str) else ""


def _meaning(error: SlackApiError, channel: str) -> PromptshipError:
    """What Slack's no means for us."""
    code, status = code_of(error), getattr(error.response, "status_code", 0)
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
