"""What people do in Slack: clicks, the modal they fill in, commands they type; and answers to the one who did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

import orjson
from slack_sdk.errors import SlackClientError
from slack_sdk.webhook import WebhookClient

from promptship.adapters.slack.blocks import APPROVE, FALLBACK_LENGTH_MAX, REJECT, ROLL_BACK, escape
from promptship.adapters.slack.modal import CALLBACK, REASON
from promptship.errors import ConfigError, Problem, Unavailable
from promptship.render.redact import redact

_SLACK_HOSTS: Final = (".slack.com", ".slack-gov.com")
TIMEOUT_S: Final = 10
REASON_LENGTH_MAX: Final = 2000
_FIELDS_MAX: Final = 32

Decision = Literal["approve", "reject", "roll_back"]
_DECISIONS: Final[dict[str, Decision]] = {APPROVE: "approve", REJECT: "reject", ROLL_BACK: "roll_back"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """Somebody pressed Approve, Reject or Roll back."""

    decision: Decision
    release_id: str
    seq: int
    user: str
    """Slack user id."""
    name: str
    """Shown name, for texts only: anybody can choose it."""
    channel: str = ""
    response_url: str = ""
    trigger_id: str = ""
    """Opens a modal, within 3 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Somebody has sent the modal that asks why."""

    release_id: str
    seq: int
    user: str
    name: str
    channel: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Somebody typed `/promptship ...`."""

    words: tuple[str, ...]
    user: str
    name: str
    response_url: str
    trigger_id: str
    """Slack's own name of this one command: typed again it is another."""


def payload_in(body: bytes) -> dict[str, Any]:
    """The payload in the body of an interaction request. Call it only after `verify_slack`.

    Raises:
        ConfigError: not an interaction at all: malformed form or JSON.
    """
    fields = form_in(body)
    if "payload" not in fields:
        raise _malformed("payload", "missing")
    return _json(fields["payload"], "payload")


def read_interaction(payload: Mapping[str, Any]) -> Click | Rejection | None:
    """What somebody did; None for every other interaction: links, menus, closed modals.

    Raises:
        ConfigError: it is ours and malformed.
    """
    if payload.get("type") == "block_actions":
        return _click(payload)
    view = payload.get("view")
    if (
        payload.get("type") == "view_submission"
        and isinstance(view, dict)
        and view.get("callback_id") == CALLBACK
    ):
        return _rejection(payload, view)
    return None


def read_command(fields: Mapping[str, Any]) -> Command:
    """The command in what Slack sends, over HTTP or Socket Mode. Raises ConfigError."""
    user, text = fields.get("user_id"), fields.get("text", "")
    if not isinstance(user, str) or not user:
        raise _malformed("user_id", "missing")
    name, url = fields.get("user_name"), fields.get("response_url")
    return Command(
        words=tuple(text.split()) if isinstance(text, str) else (), user=user,
        name=name if isinstance(name, str) else user, response_url=url if isinstance(url, str) else "",
        trigger_id=_text(fields, "trigger_id"),
    )  # fmt: skip


def answer_privately(response_url: str, text: str, *, base_url: str) -> None:
    """Show `text` to the person whose action brought this address, and to nobody else; the card stays as it is.

    Only Slack's own hosts, or that of the configured `base_url`, are called.

    Raises:
        Unavailable: Slack did not take it.
    """
    if not _belongs_to_slack(response_url, base_url):
        raise Unavailable("the click names no address of Slack to answer to")
    try:
        answer = WebhookClient(response_url, timeout=TIMEOUT_S, retry_handlers=[]).send(
            text=escape(redact(text))[:FALLBACK_LENGTH_MAX], response_type="ephemeral", replace_original=False
        )
    except (SlackClientError, OSError, HTTPException, ValueError) as error:
        raise Unavailable(f"Slack does not answer ({type(error).__name__})") from error
    if answer.status_code != 200:  # noqa: PLR2004
        raise Unavailable(f"Slack answered {answer.status_code}")


def _click(payload: Mapping[str, Any]) -> Click | None:
    actions = payload.get("actions")
    action = actions[0] if isinstance(actions, list) and actions and isinstance(actions[0], dict) else {}
    decision = _DECISIONS.get(str(action.get("action_id")))
    if decision is None:
        return None
    release_id, seq = _about(action.get("value"), "actions[0].value")
    user, name = _person(payload)
    channel = payload.get("channel")
    return Click(
        decision=decision, release_id=release_id, seq=seq, user=user, name=name,
        channel=_text(channel, "id"), response_url=_text(payload, "response_url"), trigger_id=_text(payload, "trigger_id"),
    )  # fmt: skip


def _rejection(payload: Mapping[str, Any], view: Mapping[str, Any]) -> Rejection:
    metadata = view.get("private_metadata")
    release_id, seq = _about(metadata, "view.private_metadata")
    user, name = _person(payload)
    reason: Any = view.get("state")
    for key in ("values", REASON, REASON, "value"):
        reason = reason.get(key) if isinstance(reason, dict) else None
    return Rejection(
        release_id=release_id, seq=seq, user=user, name=name, channel=_text(_json(metadata, "view"), "channel"),
        reason=reason[:REASON_LENGTH_MAX].replace("\x00", "") if isinstance(reason, str) else "",
    )  # fmt: skip


def _about(text: Any, where: str) -> tuple[str, int]:
    value = _json(text, where)
    release_id, seq = value.get("release_id"), value.get("seq")
    if not isinstance(release_id, str) or not isinstance(seq, int) or isinstance(seq, bool):
        raise _malformed(where, "without release_id or seq")
    return release_id, seq


def _person(payload: Mapping[str, Any]) -> tuple[str, str]:
    """Id and shown name."""
    user = payload.get("user")
    if not isinstance(user, dict) or not _text(user, "id"):
        raise _malformed("user.id", "missing")
    return _text(user, "id"), _text(user, "name") or _text(user, "username") or _text(user, "id")


def _text(data: Any, key: str) -> str:
    value = data.get(key) if isinstance(data, Mapping) else None
    return value if isinstance(value, str) else ""


def form_in(body: bytes) -> dict[str, Any]:
    """The fields of a form, the first of each name. Call it only after `verify_slack`. Raises ConfigError."""
    try:
        fields = parse_qs(
            body.decode("utf-8", errors="replace"), keep_blank_values=True, max_num_fields=_FIELDS_MAX
        )
    except ValueError:
        raise _malformed("form", "too many fields") from None
    return {name: values[0] for name, values in fields.items()}


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
    return ConfigError([Problem("Slack request", key, got, "expected what Slack sends")])
