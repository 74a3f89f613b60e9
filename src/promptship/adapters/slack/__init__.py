"""Slack: cards that ask, clicks that answer, threads that follow. The only place that imports slack_sdk."""

from promptship.adapters.slack.approvals import SlackApprovals, approvals_for, client_for
from promptship.adapters.slack.interaction import (
    Click,
    Command,
    Rejection,
    answer_privately,
    form_in,
    payload_in,
    read_command,
    read_interaction,
)
from promptship.adapters.slack.modal import REASON, reject_view
from promptship.adapters.slack.replay import Seen
from promptship.adapters.slack.signature import verify_slack
from promptship.adapters.slack.socket import SlackSocket, socket_for
from promptship.adapters.slack.talk import SlackTalk, talk_for
from promptship.adapters.slack.thread import SlackThread, thread_for

__all__ = [
    "REASON",
    "Click",
    "Command",
    "Rejection",
    "Seen",
    "SlackApprovals",
    "SlackSocket",
    "SlackTalk",
    "SlackThread",
    "answer_privately",
    "approvals_for",
    "client_for",
    "form_in",
    "payload_in",
    "read_command",
    "read_interaction",
    "reject_view",
    "socket_for",
    "talk_for",
    "thread_for",
    "verify_slack",
]
