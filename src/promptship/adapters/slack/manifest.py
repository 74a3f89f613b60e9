"""The manifest that makes the Slack app: scopes, buttons, the command, and how Slack reaches us."""

from __future__ import annotations

from typing import Any, Final

SCOPES: Final = ("chat:write", "commands", "files:write", "usergroups:read", "users:read", "users:read.email")
"""chat:write: cards and threads. commands: /promptship. files:write: charts. usergroups:read: approvers by group.
users:read and users:read.email: whether a member of a group wrote the change himself. The last four may be taken out."""


def manifest(url: str | None) -> dict[str, Any]:
    """For api.slack.com/apps, Create New App, From a manifest. `url`: the control plane's public address; None: Socket Mode."""
    base = None if url is None else url.rstrip("/")
    command: dict[str, Any] = {
        "command": "/promptship",
        "description": "Releases of prompts",
        "usage_hint": "status | release | rollback | history [prompt]",
        "should_escape": False,
    }
    interactivity: dict[str, Any] = {"is_enabled": True}
    if base is not None:
        command["url"] = f"{base}/slack/commands"
        interactivity["request_url"] = f"{base}/slack/interactions"
    return {
        "display_information": {
            "name": "promptship",
            "description": "Asks before a prompt is promoted, and tells what becomes of it",
            "background_color": "#1f2328",
        },
        "features": {
            "bot_user": {"display_name": "promptship", "always_online": True},
            "slash_commands": [command],
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "interactivity": interactivity,
            "org_deploy_enabled": False,
            "socket_mode_enabled": base is None,
            "token_rotation_enabled": False,
        },
    }
