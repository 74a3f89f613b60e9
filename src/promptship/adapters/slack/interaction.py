"""A click on a card: reading it, and answering the person who clicked."""

from __future__ import annotations

from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import orjson
from slack_sdk.errors import SlackClientError
from slack_sdk.webhook import WebhookClient

from promptship.adapters.slack.blocks import APPROVE, FALLBACK_LENGTH_MAX, REJECT, escape
from promptship.errors import ConfigError, Problem, Unavailable
from promptship.render.redact import redact

_SLACK_HOSTS: Final = (".slack.com", ".slack-gov.com")
TIMEOUT_S: Final = 10


@dataclass(frozen=True, slots=True)
class Click:
    """Somebody pressed Approve or Reject."""

    approve: bool
    release_id: str
    seq: int
    user: str
    """Slack user id."""
    name: str
    """Shown name, for texts only: anybody can choose it."""
    response_url: str


def read_click(body: bytes) -> Click | None:
    """The click in the body of an interaction request; None for every other interaction (links, menus, modals).

    Call it only after `verify_slack`.

    Raises:
        ConfigError: not an interaction at all: malformed form, JSON or button value.
    """
    try:
        fields = parse_qs(body.decode("utf-8", errors="replace"), max_num_fields=16)
    except ValueError:
        raise _malformed("form", "too many fields") from None
    if "payload" not in fields:
        raise _malformed("payload", "missing")
    payload = _json(fields["payload"][0], "payload")
    if payload.get("type") != "block_actions":
        return None
    actions = payload.get("actions")
    action = actions[0] if isinstance(actions, list) and actions and isinstance(actions[0], dict) else {}
    if action.get("action_id") not in {APPROVE, REJECT}:
        return None
    value, user = _json(action.get("value"), "actions[0].value"), payload.get("user")
    release_id, seq = value.get("release_id"), value.get("seq")
    if not isinstance(release_id, str) or not isinstance(seq, int) or isinstance(seq, bool):
        raise _malformed("actions[0].value", "without release_id or seq")
    if not isinstance(user, dict) or not isinstance(user.get("id"), str) or not user["id"]:
        raise _malformed("user.id", "missing")
    name, url = user.get("name") or user.get("username"), payload.get("response_url")
    return Click(
        approve=action["action_id"] == APPROVE, release_id=release_id, seq=seq, user=user["id"],
        name=name if isinstance(name, str) else user["id"], response_url=url if isinstance(url, str) else "",
    )  # fmt: skip


def answer_privately(click: Click, text: str, *, base_url: str) -> None:
    """Show `text` to the person who clicked and nobody else; the card stays as it is.

    The address comes with the click; only Slack's own hosts, or that of the configured `base_url`, are called.

    Raises:
        Unavailable: Slack did not take it.
    """
    if not _belongs_to_slack(click.response_url, base_url):
        raise Unavailable("the click names no address of Slack to answer to")
    try:
        answer = WebhookClient(click.response_url, timeout=TIMEOUT_S, retry_handlers=[]).send(
            text=escape(redact(text))[:FALLBACK_LENGTH_MAX], response_type="ephemeral", replace_original=False
        )
    except (SlackClientError, OSError, HTTPException, ValueError) as error:
        raise Unavailable(f"Slack does not answer ({type(error).__name__})") from error
    if answer.status_code != 200:  # noqa: PLR2004
        raise Unavailable(f"Slack answered {answer.status_code}")


def _belongs_to_slack(url: str, base_url: str) -> bool:
    try:
        to, ours = urlsplit(url), urlsplit(base_url)
        host = to.hostname or ""
        same_origin = (to.scheme, host, to.port) == (ours.scheme, ours.hostname, ours.port)
    except ValueError:
        return False
    return bool(host) and (same_origin or (to.scheme == "https" and host.endswith(_SLACK_HOSTS)))


def _json(text: Any, where: str) -> dict[str, Any]:
    try:
        data = orjson.loads(text)
    except (orjson.JSONDecodeError, TypeError):
        data = None
    if not isinstance(data, dict):
        raise _malformed(where, "not a JSON object")
    return data


def _malformed(key: str, got: str) -> ConfigError:
    return ConfigError([Problem("Slack interaction", key, got, "expected what Slack sends for a button")])
