"""AWS Signature Version 4 of one request with a body, as AWS describes it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from promptship.adapters.providers.dialects.call import HttpCall

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_SPACES: Final = re.compile(r" +")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Keys of an AWS account; `session_token` belongs to temporary ones."""

    key_id: str
    secret: str = field(repr=False)
    session_token: str = field(default="", repr=False)


def signed(
    call: HttpCall,
    credentials: Credentials,
    *,
    region: str,
    service: str,
    at: datetime,
    hash_header: bool = True,
) -> HttpCall:
    """The call with its signature, valid for some minutes around `at` (any time zone).

    `hash_header` adds `x-amz-content-sha256`, which Bedrock accepts and S3 demands. The path is encoded once more than it is sent, as
    every service but S3 wants it.
    """
    moment = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    parts = urlsplit(call.url)
    hashed = hashlib.sha256(call.body).hexdigest()
    added = [("host", parts.netloc.rpartition("@")[2]), ("x-amz-date", moment)]
    if hash_header:
        added.append(("x-amz-content-sha256", hashed))
    if credentials.session_token:
        added.append(("x-amz-security-token", credentials.session_token))
    replaced = {name for name, _ in added} | {"authorization"}
    headers = [pair for pair in call.headers if pair[0].lower() not in replaced] + added
    canonical, names = _canonical_headers(headers)
    request = "\n".join(
        (call.method.upper(), _path(parts.path), _query(parts.query), canonical, names, hashed)
    )
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"{_ALGORITHM}\n{moment}\n{scope}\n{digest}"
    key = b"AWS4" + credentials.secret.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    value = (
        f"{_ALGORITHM} Credential={credentials.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    sent = [pair for pair in headers if pair[0].lower() != "host"]  # HTTP sends it by itself
    return replace(call, headers=(*sent, ("authorization", value)))


def _canonical_headers(headers: list[tuple[str, str]]) -> tuple[str, str]:
    """Lower-case names in order with their values, one line each; and the names alone."""
    merged: dict[str, list[str]] = {}
    for name, value in headers:
        merged.setdefault(name.lower().strip(), []).append(_SPACES.sub(" ", value.strip()))
    lines = "".join(f"{name}:{','.join(merged[name])}\n" for name in sorted(merged))
    return lines, ";".join(sorted(merged))


def _path(path: str) -> str:
    return quote(_resolved(path), safe="/-_.~") or "/"


def _resolved(path: str) -> str:
    """Without `.`, `..` and doubled slashes."""
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            kept = kept[:-1]
        elif part not in {"", "."}:
            kept.append(part)
    ends = "/" if path.endswith("/") and kept else ""
    return "/" + "/".join(kept) + ends


def _query(query: str) -> str:
    pairs = [piece.partition("=") for piece in query.split("&") if piece]
    encoded = sorted(
        (quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~")) for name, _, value in pairs
    )
    return "&".join(f"{name}={value}" for name, value in encoded)
