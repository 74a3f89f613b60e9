"""Access tokens of OAuth 2.0, by client credentials or password."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from promptship.adapters.providers.answers import failure, json_of
from promptship.adapters.providers.dialects import HttpCall
from promptship.errors import Unavailable
from promptship.evals.promptfoo.providers.base import Caller, digest_of

_EARLY_S: Final = 60.0
_AGE_S: Final = 3600.0
_OK: Final = 200


@dataclass(slots=True)
class Tokens:
    """Tokens by what they were asked with, until shortly before they end."""

    _known: dict[str, tuple[str, float]] = field(default_factory=dict, repr=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    async def of(self, auth: Mapping[str, Any], caller: Caller) -> str:
        """A token that is still good. Raises Unavailable, Refused, ConfigError."""
        key = digest_of(dict(auth))
        async with self._turn:
            token, until = self._known.get(key, ("", 0.0))
            if token and time.monotonic() < until:
                return token
            token, lasts_s = await _asked(auth, caller)
            self._known[key] = token, time.monotonic() + max(0.0, lasts_s - _EARLY_S)
            return token


async def _asked(auth: Mapping[str, Any], caller: Caller) -> tuple[str, float]:
    grant = str(auth.get("grantType") or "client_credentials")
    form = {"grant_type": grant}
    names = {"client_id": "clientId", "client_secret": "clientSecret"}
    if grant == "password":
        names |= {"username": "username", "password": "password"}
    form |= {name: str(auth[key]) for name, key in names.items() if auth.get(key)}
    scopes = auth.get("scopes")
    if scopes:
        form["scope"] = scopes if isinstance(scopes, str) else " ".join(scopes)
    headers = (("content-type", "application/x-www-form-urlencoded"),)
    came = await caller.send(
        HttpCall(url=str(auth.get("tokenUrl") or ""), headers=headers, body=urlencode(form).encode())
    )
    value = json_of(came.body)
    if came.status != _OK:
        raise failure(caller.target, status=came.status, headers=came.headers, value=value)
    token = value.get("access_token") if isinstance(value, Mapping) else None
    if not isinstance(token, str) or not token:
        raise Unavailable(
            f"provider {caller.target.provider}: no access_token in the answer of its token address"
        )
    lasts = value.get("expires_in")
    return token, float(lasts) if isinstance(lasts, int | float) else _AGE_S
