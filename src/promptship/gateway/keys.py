"""Keys of applications: only their hashes are known here, and only the application's name goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from promptship.gateway.rejection import Rejection
from promptship.gateway.wire import Scope, header
from promptship.routing.table import RoutingTable
from promptship.settings.serving import ApplicationSettings

_HOW: Final = "Authorization: Bearer <key>, x-api-key or api-key"
_REFUSED: Final = Rejection(401, "invalid_api_key", f"no application has this key; it comes as {_HOW}")
_WITHOUT: Final = Rejection(401, "invalid_api_key", f"a key is wanted: {_HOW}")

ALLOWED: Final = "promptship.prompts"
"""Key of the ASGI scope: the prompts that the application may use; absent or None: all."""


@dataclass(frozen=True, slots=True)
class Application:
    """Who asks."""

    name: str
    prompts: frozenset[str] | None = None
    """None: all."""


_NOBODY: Final = Application("")


class Keys:
    """Who may ask. Without any application nobody is asked who he is."""

    def __init__(self, applications: Mapping[str, ApplicationSettings]) -> None:
        self._known = {
            one.key_sha256: Application(name, None if one.prompts is None else frozenset(one.prompts))
            for name, one in applications.items()
        }

    def application(self, scope: Scope) -> Application | Rejection:
        """The application whose key the request carries; one without a name: none is configured."""
        if not self._known:
            return _NOBODY
        scheme, _, bearer = header(scope, b"authorization").partition(" ")
        key = bearer.strip() if scheme.lower() == "bearer" else ""
        key = key or header(scope, b"x-api-key") or header(scope, b"api-key")
        if not key:
            return _WITHOUT
        # Looking a hash up tells a guesser nothing about the keys by its time.
        return self._known.get(hashlib.sha256(key.encode("latin-1")).hexdigest()) or _REFUSED


def allowed(scope: Scope) -> frozenset[str] | None:
    """The prompts that the request's application may use; None: all."""
    prompts: frozenset[str] | None = scope.get(ALLOWED)
    return prompts


def released(scope: Scope, table: RoutingTable | None) -> list[str]:
    """Names of the released prompts that the request's application may use, sorted."""
    prompts = allowed(scope)
    return [
        name
        for name, route in sorted(table.routes.items() if table else ())
        if route.stable and (prompts is None or name in prompts)
    ]


def forbidden(scope: Scope, prompt: str, param: str = "model") -> Rejection | None:
    """403, if the request's application may not use the prompt, whether or not there is such a prompt."""
    prompts = allowed(scope)
    if prompts is None or prompt in prompts:
        return None
    return Rejection(
        403,
        "prompt_not_allowed",
        f"this application's key is not for the prompt {prompt!r}; gateway.applications says which it is for",
        param,
    )
