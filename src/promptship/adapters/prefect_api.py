"""Starts, reads and closes flow runs through Prefect's HTTP API, without importing Prefect (two seconds and 85 MB)."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, NoReturn

import httpx

from promptship.adapters.hooks import is_loopback
from promptship.errors import Unavailable
from promptship.ports import CancelledRun
from promptship.render.redact import redact

AUTH_VARIABLE: Final = "PREFECT_API_AUTH_STRING"
"""`user:password`, the same variable Prefect's own client reads."""
TIMEOUT_S: Final = 10.0
READ_S: Final = 3.0
"""Of questions that the watcher asks at every turn: a server that hangs must not keep it from its looks."""
RELEASE: Final = "release/release"
REVIEW: Final = "review/review"
PENDING_MAX: Final = timedelta(minutes=1)
"""A run that was handed to a worker and has not begun by then is taken as lost: the worker died with it. One that was only slow is harmless:
the release's run lease lets one of two move it."""
RUNS_MAX: Final = 200
"""The most that Prefect lists at a time."""
_DETAIL_LENGTH_MAX: Final = 300


def credentials(auth: str | None) -> dict[str, str]:
    """Headers with which Prefect's API lets us in. `auth`: `user:password`; None: from PREFECT_API_AUTH_STRING."""
    said = os.environ.get(AUTH_VARIABLE, "") if auth is None else auth
    return {"Authorization": f"Basic {b64encode(said.encode()).decode()}"} if said else {}


class PrefectOrchestrator:
    """Asks a Prefect server for runs of its deployments, and what became of them.

    Every failure is `Unavailable`: the release is in the ledger, and the reconciler asks again until somebody has mended what
    the message names.
    """

    def __init__(self, api_url: str, *, auth: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        """`auth` None: from PREFECT_API_AUTH_STRING."""
        self._api_url = api_url.rstrip("/")
        self._deployments: dict[str, str] = {}
        """Id by `<flow>/<deployment>`."""
        self._not_asked_for: set[str] = set()
        """Cancelled runs that nobody had asked to cancel: this does not change any more."""
        self._client = httpx.Client(
            headers=credentials(auth), timeout=timeout_s, trust_env=not is_loopback(api_url)
        )

    def start(self, release_id: str, *, key: str) -> str:
        """Ask for a run; a run of the release that waits to begin is it. Runs that are parked are closed: it goes on in this one."""
        deployment = self._deployments.get(RELEASE) or self._look_up(RELEASE)
        known = self._runs(
            {
                "name": {"any_": [release_id]},
                "deployment_id": {"any_": [deployment]},
                **_in_state("SCHEDULED", "PENDING"),
            }
        )
        waiting = next((run for run in known if _waits(run)), None)
        if waiting is not None:
            return str(waiting["id"])
        run_id = self.start_run(RELEASE, {"release_id": release_id}, key=key, name=release_id)
        self.settle(release_id, keep=run_id)
        return run_id

    def start_review(self, host: str, number: int, head: str, *, key: str) -> str:
        """Ask for a review of a pull or merge request."""
        parameters = {"host": host, "number": number, "head": head}
        return self.start_run(REVIEW, parameters, key=key, name=f"{host}-{number}-{head[:12]}")

    def start_run(self, deployment: str, parameters: Mapping[str, Any], *, key: str, name: str) -> str:
        """Ask for a run of `<flow>/<deployment>`; the same key twice is one run (Prefect scopes keys to the flow).

        Only plain values as parameters: Prefect's server renders templates in them. Returns the run's id.
        """
        known = self._deployments.get(deployment)
        body = {"parameters": dict(parameters), "idempotency_key": key, "name": name}

        def create(deployment_id: str) -> httpx.Response:
            return self._call("POST", f"/deployments/{deployment_id}/create_flow_run", json=body)

        answer = create(known or self._look_up(deployment))
        if answer.status_code == httpx.codes.NOT_FOUND and known is not None:
            # The deployment was deleted and made again since we looked it up.
            self._deployments.pop(deployment, None)
            answer = create(self._look_up(deployment))
        return self._id_of(answer)

    def cancelled(self, releases: Sequence[str]) -> Sequence[CancelledRun]:
        """Runs of these releases that somebody asked Prefect to cancel."""
        found: list[CancelledRun] = []
        for at in range(0, len(releases), RUNS_MAX):
            wanted = {
                "name": {"any_": list(releases[at : at + RUNS_MAX])},
                **_in_state("CANCELLED", "CANCELLING"),
            }
            found += [
                CancelledRun(str(run["name"]), str(run["id"]))
                for run in self._runs(wanted)
                if self._was_asked(run)
            ]
        return found

    def settle(self, release_id: str, *, keep: str) -> None:
        """Complete the release's parked runs except `keep`; one that was cancelled or resumed meanwhile stays what it is.

        A run that is older than `keep` and still Running lost its process: a release has one at a time. It is Crashed.
        """
        known = self._runs({"name": {"any_": [release_id]}, **_in_state("PAUSED", "RUNNING")})
        began = next((run.get("start_time") or "" for run in known if run["id"] == keep), "")
        for run in known:
            is_older = (run.get("start_time") or "") < began
            if run["id"] == keep or (run["state_type"] == "RUNNING" and not is_older):
                continue
            ended = "COMPLETED" if run["state_type"] == "PAUSED" else "CRASHED"
            state = {"type": ended, "message": f"The release goes on in flow run {keep}."}
            self._checked(self._call("POST", f"/flow_runs/{run['id']}/set_state", json={"state": state}))

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    def _was_asked(self, run: Mapping[str, Any]) -> bool:
        if run["state_type"] == "CANCELLING":
            return True
        if run["id"] in self._not_asked_for:
            return False
        path = f"/flow_run_states/?flow_run_id={run['id']}"
        asked = was_asked_to_cancel(self._list(self._call("GET", path, timeout_s=READ_S)))
        if not asked:
            self._not_asked_for.add(str(run["id"]))
        return asked

    def _runs(self, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
        body = {
            "flow_runs": dict(wanted), "flows": {"name": {"any_": [RELEASE.partition("/")[0]]}},
            "sort": "EXPECTED_START_TIME_DESC", "limit": RUNS_MAX,
        }  # fmt: skip
        return self._list(self._call("POST", "/flow_runs/filter", json=body, timeout_s=READ_S))

    def _look_up(self, deployment: str) -> str:
        answer = self._call("GET", f"/deployments/name/{deployment}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise Unavailable(
                f"Prefect at {self._api_url} has no deployment {deployment}: is the runner started? "
                "`promptship up` starts it; `promptship fleet setup` registers it for workers"
            )
        self._deployments[deployment] = self._id_of(answer)
        return self._deployments[deployment]

    def _call(
        self, method: str, path: str, *, json: dict[str, Any] | None = None, timeout_s: float | None = None
    ) -> httpx.Response:
        timeout = httpx.USE_CLIENT_DEFAULT if timeout_s is None else timeout_s
        try:
            return self._client.request(method, self._api_url + path, json=json, timeout=timeout)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(
                f"Prefect at {self._api_url} does not answer ({type(error).__name__}): is it started?"
            ) from error

    def _id_of(self, answer: httpx.Response) -> str:
        said = self._checked(answer)
        found = said.get("id") if isinstance(said, dict) else None
        return found if isinstance(found, str) else self._not_prefect(answer)

    def _list(self, answer: httpx.Response) -> list[dict[str, Any]]:
        said = self._checked(answer)
        return said if isinstance(said, list) else self._not_prefect(answer)

    def _checked(self, answer: httpx.Response) -> Any:
        if not answer.is_success:
            self._refuse(answer)
        try:
            return answer.json()
        except ValueError:
            self._not_prefect(answer)

    def _not_prefect(self, answer: httpx.Response) -> NoReturn:
        raise Unavailable(
            f"{answer.url} answered, but not as Prefect does: is {self._api_url} Prefect's API address?"
        )

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


def was_asked_to_cancel(states: Sequence[Mapping[str, Any]]) -> bool:
    """Whether somebody asked for the end of a run whose states these are, or it is Cancelled for another reason.

    A request leaves `Cancelling`; without a process to end, Prefect's server turns it at once into a `Cancelled` that has no
    message. A runner that is stopped, a limit on runs and a parent's end write `Cancelled` too, always with a message.
    """
    known = sorted(states, key=lambda state: str(state.get("timestamp", "")))
    if any(state.get("type") == "CANCELLING" for state in known):
        return True
    return any(
        before.get("type") in {"SCHEDULED", "PAUSED"}
        and after.get("type") == "CANCELLED"
        and not after.get("message")
        for before, after in pairwise(known)
    )


def _in_state(*types: str) -> dict[str, Any]:
    return {"state": {"type": {"any_": list(types)}}}


def _waits(run: Mapping[str, Any]) -> bool:
    """Whether a run is still going to begin by itself."""
    if run["state_type"] == "SCHEDULED":
        return True
    since = (run.get("state") or {}).get("timestamp") or ""
    try:
        return datetime.now(UTC) - datetime.fromisoformat(since) < PENDING_MAX
    except (TypeError, ValueError):
        return False
