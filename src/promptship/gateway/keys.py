"""Keys of applications: only their hashes are known here, and only the application's name goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from promptship.gateway.rejection import Rejection
from promptship.gateway.wire import Scope, header

_REFUSED = Rejection(
    401, "invalid_api_key", "this key is none of an application's: Authorization: Bearer <key>, or x-api-key"
)


class Keys:
    """Who may ask. Without any application nobody is asked who he is."""

    def __init__(self, applications: Mapping[str, str]) -> None:
        self._names = {sha256: name for name, sha256 in applications.items()}

    def application(self, scope: Scope) -> str | Rejection:
        """The application whose key the request carries; empty: none is configured."""
        if not self._names:
            return ""
        scheme, _, bearer = header(scope, b"authorization").partition(" ")
        key = bearer.strip() if scheme.lower() == "bearer" else ""
        key = key or header(scope, b"x-api-key") or header(scope, b"api-key")
        # Looking a hash up tells a guesser nothing about the keys by its time.
        return self._names.get(hashlib.sha256(key.encode("latin-1")).hexdigest(), "") or _REFUSED
