"""GitHub's REST API and signed webhooks as npm's `emulate` has them, on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.emulated import emulated

USER_TOKEN = "token-of-octocat"
APP_ID = "12345"
WEBHOOK_SECRET = "secret-of-the-webhook"


@contextmanager
def emulated_github(*, key: str, webhook_url: str) -> Iterator[str]:
    """Address of the emulator, with octocat/prompts and an app installed there. Skips as `emulated`."""
    granted = dict.fromkeys(("contents", "checks", "issues", "pull_requests", "statuses"), "write")
    app: dict[str, Any] = {
        "app_id": int(APP_ID), "slug": "promptship", "name": "promptship", "private_key": key,
        "permissions": granted, "events": ["push", "pull_request"], "webhook_url": webhook_url,
        "webhook_secret": WEBHOOK_SECRET,
        "installations": [{"installation_id": 100, "account": "octocat", "repository_selection": "all"}],
    }  # fmt: skip
    seed = {
        "tokens": {USER_TOKEN: {"login": "octocat", "scopes": ["repo", "user"]}},
        "github": {
            "users": [{"login": "octocat", "name": "The Octocat", "email": "octocat@example.com"}],
            "repos": [{"owner": "octocat", "name": "prompts", "auto_init": True}],
            "apps": [app],
        },
    }
    with emulated("github", seed) as url:
        yield url
