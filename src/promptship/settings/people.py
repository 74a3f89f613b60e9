"""Who approves, and where people are asked."""

from __future__ import annotations

from promptship.settings.section import Section


class Approver(Section):
    """Somebody who may approve."""

    name: str
    email: str = ""
    """Compared with the commit's author."""
    slack: str = ""
    """Slack user id, `U...`."""


class SlackSettings(Section):
    """Slack; used when a channel is set and the token is in the environment."""

    channel: str = ""
    base_url: str = "https://slack.com/api/"
    token_env: str = "SLACK_BOT_TOKEN"  # noqa: S105 - the name of a variable, not a token
    signing_secret_env: str = "SLACK_SIGNING_SECRET"  # noqa: S105 - the name of a variable
