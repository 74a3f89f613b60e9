"""Slack: cards that ask, clicks that answer. The only place that imports slack_sdk."""

from promptship.adapters.slack.approvals import SlackApprovals, approvals_for
from promptship.adapters.slack.interaction import Click, answer_privately, read_click
from promptship.adapters.slack.signature import verify_slack

__all__ = ["Click", "SlackApprovals", "answer_privately", "approvals_for", "read_click", "verify_slack"]
