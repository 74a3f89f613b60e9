"""Calls of a code host's API, with a token from the environment or of a GitHub App."""

from __future__ import annotations

import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from threading import Lock
from typing import Any, Final

import httpx
import orjson

from promptship.adapters.hooks import is_loopback
from promptship.errors import NotFound, Refused, Unavailable
from promptship.render.redact import keep_secret, redact
from promptship.render.table import clipped

Token = Callable[[], str]
"""Gives the token to use now; empty: there is none."""
TIMEOUT_S: Final = 15.0
PAGES_MAX: Final = 20
"""Of a hundred each: in a longer discussion our comment is found by the id we kept."""
_DETAIL_MAX: Final = 200
_JWT_S: Final = 540
_EARLY_S: Final = 120
"""A token is not used in its last two minutes."""
_SERVER_ERROR: Final = 500


def named(environ: Mapping[str, str], variable: str) -> Token:
    """The token in an environment variable, read when it is needed."""
    return lambda: environ.get(variable, "").strip()


class Api:
    """JSON over HTTP, with our errors."""

    def __init__(self, name: str, base_url: str, headers: Callable[[], Mapping[str, str]]) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._headers = headers

    def call(
        self, method: str, path: str, body: Any = None, *, accept: frozenset[int] = frozenset()
    ) -> tuple[int, Any]:
        """Status and JSON of the answer; a failing status only when it is one of `accept`.

        Raises:
            Unavailable: no answer, a limit of requests, 5xx, or no JSON.
            Refused: 401 or 403.
            NotFound: 404.
        """
        headers = {"Content-Type": "application/json", **self._headers()}
        content = None if body is None else orjson.dumps(body)
        try:
            # A review makes five calls in minutes: a connection that is kept would be closed by then.
            with httpx.Client(timeout=TIMEOUT_S, trust_env=not is_loopback(self._base_url)) as client:
                answer = client.request(method, self._base_url + path, content=content, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"{self.name} does not answer ({type(error).__name__})") from error
        self._refuse(method, path, answer, accept)
        try:
            return answer.status_code, orjson.loads(answer.content) if answer.content else None
        except orjson.JSONDecodeError:
            raise Unavailable(f"{self.name} answered {method} {path}, but not with JSON") from None

    def _refuse(self, method: str, path: str, answer: httpx.Response, accept: frozenset[int]) -> None:
        status = answer.status_code
        if answer.is_success:
            return
        what = (
            f"{self.name} answered {status} to {method} {path}: {clipped(redact(answer.text), _DETAIL_MAX)}"
        )
        after = answer.headers.get("Retry-After", "")
        limited = status == httpx.codes.TOO_MANY_REQUESTS or (
            status == httpx.codes.FORBIDDEN and (after or answer.headers.get("X-RateLimit-Remaining") == "0")
        )
        if limited or status >= _SERVER_ERROR:
            wait_s = float(after) if after.isascii() and after.isdecimal() else None
            raise Unavailable(what, retry_after_s=wait_s, throttled=bool(limited))
        if status in accept:
            return
        if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise Refused(f"{what}; check the token and what it may do")
        if status == httpx.codes.NOT_FOUND:
            raise NotFound(what)
        raise Refused(what)


class AppToken:
    """Token of a GitHub App's installation on one repository, asked for anew before it ends.

    The app proves itself with a JSON Web Token, RS256 (RFC 7519), that is good for nine minutes.
    """

    def __init__(self, api_url: str, repository: str, app_id: str, key: Token) -> None:
        self._repository = repository
        self._app_id = app_id
        self._key = key
        self._api = Api("GitHub", api_url, self._headers)
        self._kept = ("", 0.0)
        self._lock = Lock()

    def __call__(self) -> str:
        """The token. Raises Unavailable, Refused, NotFound: the app is not installed there."""
        with self._lock:
            token, until = self._kept
            if time.time() < until:
                return token
            _, installation = self._api.call("GET", f"/repos/{self._repository}/installation")
            path = f"/app/installations/{int(installation['id'])}/access_tokens"
            _, told = self._api.call("POST", path, {"repositories": [self._repository.partition("/")[2]]})
            token = str(told["token"])
            keep_secret(token)
            ends = datetime.fromisoformat(str(told["expires_at"])).timestamp()
            self._kept = token, ends - _EARLY_S
            return token

    def _headers(self) -> dict[str, str]:
        now = int(time.time())
        claims = {"iat": now - 60, "exp": now + _JWT_S, "iss": self._app_id}
        signed = _part({"alg": "RS256", "typ": "JWT"}) + "." + _part(claims)
        return {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {signed}.{_encoded(_signature(self._key(), signed.encode()))}",
        }


def _signature(pem: str, content: bytes) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    try:
        # A variable of one line holds the line breaks as `\n`.
        key = serialization.load_pem_private_key(pem.replace("\\n", "\n").encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise Refused("the GitHub App's private key is no RSA key in PEM; look at github.app_key_env")
    return key.sign(content, padding.PKCS1v15(), hashes.SHA256())


def _part(content: Mapping[str, Any]) -> str:
    return _encoded(orjson.dumps(content))


def _encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode("ascii")
