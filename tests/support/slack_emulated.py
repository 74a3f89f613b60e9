"""Slack's Web API as npm's `emulate` has it, on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.emulated import emulated

TOKEN = "xoxb-of-the-emulator"
_SEED = {
    "slack": {
        "team": {"name": "Shop", "domain": "shop"},
        "users": [{"name": "mira", "real_name": "Mira", "email": "mira@example.org"}],
        "channels": [{"name": "releases", "topic": "releases"}],
        "tokens": [
            {
                "token": TOKEN,
                "user": "mira",
                "scopes": ["chat:write", "files:write", "users:read", "users:read.email"],
            }
        ],
    }
}


@contextmanager
def emulated_slack() -> Iterator[str]:
    """Address of the emulator (without `/api/`). Skips as `emulated`."""
    with emulated("slack", _SEED) as url:
        yield url
