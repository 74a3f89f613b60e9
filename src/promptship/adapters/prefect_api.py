"""Starts release flows through Prefect's HTTP API, without importing Prefect (two seconds and 85 MB)."""

from __future__ import annotations

import os
from base64 import b64encode
from typing import Any, Final, NoReturn

import httpx

from promptship.adapters.hooks import is_loopback
from promptship.errors import Unavailable
from promptship.render.redact import redact

AUTH_VARIABLE: Final = "PREFECT_API_AUTH_STRING"
"""`user:password`, the same variable Prefect's own client reads."""
TIMEOUT_S: Final = 10.0
_DETAIL_LENGTH_MAX: Final = 300


class PrefectOrchestrator:
    """Asks a Prefect server for runs of one deployment.

    Every failure is `Unavailable`: the release is in the ledger, and the reconciler asks again until somebody has mended what
    the message names.
    """

    def __init__(
        self,
        api_url: str,
        deployment: str = "release/release",
        *,
        auth: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """`deployment` is `<flow>/<deployment>`; `auth` None: from PREFECT_API_AUTH_STRING."""
        self._api_url = api_url.rstrip("/")
        self._deployment = deployment
        self._deployment_id: str | None = None
        credentials = os.environ.get(AUTH_VARIABLE, "") if auth is None else auth
        headers = (
            {"Authorization": f"Basic {b64encode(credentials.encode()).decode()}"} if credentials else {}
        )
        self._client = httpx.Client(headers=headers, timeout=timeout_s, trust_env=not is_loopback(api_url))

    def start(self, release_id: str, *, key: str) -> str:
        """Ask for a run; the same key twice is one run (Prefect scopes keys to the flow). Returns the run's id."""
        known = self._deployment_id is not None
        answer = self._create_run(self._deployment_id or self._look_up(), release_id, key)
        if answer.status_code == httpx.codes.NOT_FOUND and known:
            # The deployment was deleted and made again since we looked it up.
            self._deployment_id = None
            answer = self._create_run(self._look_up(), release_id, key)
        return self._id_of(answer)

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    def _create_run(self, deployment_id: str, release_id: str, key: str) -> httpx.Response:
        body = {
            "parameters": {"release_id": release_id},
            "idempotency_key": key,
            "name": f"release-{release_id}",
        }
        return self._call("POST", f"/deployments/{deployment_id}/create_flow_run", json=body)

    def _look_up(self) -> str:
        answer = self._call("GET", f"/deployments/name/{self._deployment}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise Unavailable(
                f"Prefect at {self._api_url} has no deployment {self._deployment}: is the runner started? "
                "`promptship up` starts it; `prefect deploy --all` registers it for workers"
            )
        self._deployment_id = self._id_of(answer)
        return self._deployment_id

    def _call(self, method: str, path: str, *, json: dict[str, Any] | None = None) -> httpx.Response:
        try:
            return self._client.request(method, self._api_url + path, json=json)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(
                f"Prefect at {self._api_url} does not answer ({type(error).__name__}): is it started?"
            ) from error

    def _id_of(self, answer: httpx.Response) -> str:
        if not answer.is_success:
            self._refuse(answer)
        try:
            found = answer.json()["id"]
        except (ValueError, KeyError, TypeError):
            found = None
        if not isinstance(found, str):
            raise Unavailable(
                f"{answer.url} answered, but not as Prefect does: is {self._api_url} Prefect's API address?"
            )
        return found

    def _refuse(self, answer: httpx.Response) -> NoReturn:
        status = answer.status_code
        if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise Unavailable(
                f"Prefect at {self._api_url} wants other credentials ({status}): check {AUTH_VARIABLE}"
            )
        after = answer.headers.get("Retry-After", "")
        detail = redact(answer.text[:_DETAIL_LENGTH_MAX])
        raise Unavailable(
            f"Prefect at {self._api_url} answered {status} to {answer.request.method} {answer.url.path}: {detail}",
            retry_after_s=float(after) if after.isdecimal() else None,
        )
