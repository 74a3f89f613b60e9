"""The two secrets of an installation. From the environment, or made once and kept in files that only the owner can read."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

TOKEN_VARIABLE = "PROMPTSHIP_TOKEN"  # noqa: S105 - the name of a variable
SIGNING_KEY_VARIABLE = "PROMPTSHIP_SIGNING_KEY"


class Secrets:
    """`token` lets gateways and people into the control plane; `signing_key` signs feedback tokens and hook calls."""

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self._directory = directory
        self._environ = environ

    @property
    def token(self) -> str:
        """Bearer token of the control plane's API."""
        return self._environ.get(TOKEN_VARIABLE) or _kept(self._directory / "token")

    @property
    def gateway_token(self) -> str:
        """Bearer token with which a gateway reads routes, and can do nothing else; derived from the signing key it has anyway."""
        return gateway_token(self.signing_key)

    @property
    def signing_key(self) -> bytes:
        """Key of the HMACs; every gateway and control plane of an installation needs the same."""
        return (self._environ.get(SIGNING_KEY_VARIABLE) or _kept(self._directory / "signing-key")).encode()


def gateway_token(signing_key: bytes) -> str:
    """The gateways' token under a signing key: HMAC-SHA256, hex."""
    return hmac.new(signing_key, b"gateway reads routes", hashlib.sha256).hexdigest()


def private_directory(path: Path) -> None:
    """Make the data directory: for its owner only, and never part of a commit of the repository it stands in."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    ignore = path / ".gitignore"
    if not ignore.exists():
        ignore.write_text("# Ledger, telemetry and secrets of promptship.\n*\n", encoding="utf-8")


def _kept(path: Path) -> str:
    """The file's content; made with 256 random bits first if it is not there. Of two processes at once, one makes it."""
    private_directory(path.parent)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    if not path.exists():
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # fails if another process was first: its secret counts
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text(encoding="utf-8").strip()
