"""The processes that answer over HTTP: control plane, gateway, Prefect with its runner or workers, the collector of spans."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from promptship.adapters.doctor.found import Found, down, fail, ok, warn
from promptship.adapters.doctor.skew import ahead_s, clock
from promptship.adapters.hooks import is_loopback
from promptship.adapters.prefect_api import AUTH_VARIABLE, RELEASE, credentials
from promptship.errors import Unavailable
from promptship.settings import Settings

TIMEOUT_S: Final = 5.0
OLDEST: Final = (3, 8, 8)
POLLED_S_MAX: Final = 120.0
"""A runner that has not asked for work for so long is gone; Prefect notes it twice a minute at least."""
BEHIND_S_MAX: Final = 5.0


def _ask(
    method: str, url: str, *, json: Any = None, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """Raises Unavailable."""
    try:
        return httpx.request(
            method, url, json=json, headers=headers, timeout=TIMEOUT_S, trust_env=not is_loopback(url)
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"{url} does not answer ({type(error).__name__})") from None


def control_plane(settings: Settings) -> Iterator[Found]:
    """Answers, and its clock."""
    try:
        answer = _ask("GET", f"{settings.server_url}/healthz")
    except Unavailable as error:
        yield down(
            "control plane", str(error), "start `promptship server`; meanwhile no push and no click arrives"
        )
        return
    if answer.status_code != httpx.codes.OK:
        advice = "something else listens there? See [server] port and public_url"
        yield fail("control plane", f"{settings.server_url} answers {answer.status_code}", advice)
        return
    yield ok("control plane", settings.server_url)
    yield from _clock_of("control plane's", answer)


def gateway(settings: Settings, revision: int | None) -> Iterator[Found]:
    """Answers, and serves the newest routes. `revision`: of the ledger; None: not known."""
    url = settings.gateway_url
    try:
        answer = _ask("GET", f"{url}/healthz")
        state = answer.json()
    except Unavailable as error:
        yield down("gateway", str(error), "start `promptship gateway`: applications get no answer there")
        return
    except ValueError:
        state = None
    if not isinstance(state, dict) or "revision" not in state:
        yield fail("gateway", f"{url} answers, but not as a gateway does", "see [gateway] port")
        return
    served = state["revision"]
    if served is None:
        yield fail("gateway", "knows no route yet", "start the control plane; then `promptship adopt`")
    elif revision is not None and served < revision:
        said = f"serves routes {served}, the ledger is at {revision}"
        yield warn("gateway", said, "it follows the control plane: is that up, and the signing key the same?")
    elif state.get("source") == "disk":
        yield warn("gateway", "serves the routes it kept on disk", "start the control plane")
    else:
        yield ok("gateway", f"{url}, routes {served}")
    if state.get("lost"):
        yield fail(
            "gateway's spool",
            f"{state['lost']} lines were lost",
            "make room on its disk: what is lost is not judged",
        )
    yield from _clock_of("gateway's", answer)


def prefect(settings: Settings, automations: Sequence[str]) -> Iterator[Found]:
    """Server, deployment, and who runs it: a runner, or the workers of its pool with the automations."""
    api, headers = settings.prefect_api_url, credentials(None)
    try:
        version = _ask("GET", f"{api}/admin/version", headers=headers)
    except Unavailable as error:
        advice = "start `promptship prefect` (or your server): releases stand still, canaries are watched"
        yield down("Prefect", str(error), advice)
        return
    if version.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        yield fail("Prefect", "wants other credentials", f"put user:password into {AUTH_VARIABLE}")
        return
    if not version.is_success:
        yield fail(
            "Prefect", f"{api} answers {version.status_code}", "see [prefect] api_url: it ends in /api"
        )
        return
    number = version.text.strip(' "\n')
    if _numbers(number) < OLDEST:
        yield warn("Prefect", f"version {number}", "upgrade the server to 3.8.8 or newer")
    else:
        yield ok("Prefect", f"{number} at {api}")
    yield from _clock_of("Prefect's", version)
    answer = _ask("GET", f"{api}/deployments/name/{RELEASE}", headers=headers)
    if not answer.is_success:
        yield fail(
            "deployments",
            f"Prefect has no deployment {RELEASE}",
            "promptship fleet setup, or start the runner",
        )
        return
    deployment = answer.json()
    if deployment.get("paused"):
        yield warn(
            "deployments",
            f"{RELEASE} is paused: releases stand still",
            f"prefect deployment schedule resume, or the page of {RELEASE}",
        )
    pool = deployment.get("work_pool_name")
    if pool:
        yield from _workers(api, headers, pool)
        yield from _automations(api, headers, automations)
    else:
        yield from runner(deployment, now=datetime.now(UTC))


def runner(deployment: Mapping[str, Any], *, now: datetime) -> Iterator[Found]:
    """Whether somebody has asked for runs of a deployment without a pool lately."""
    polled = str(deployment.get("last_polled") or "")
    try:
        silent_s = (now - datetime.fromisoformat(polled)).total_seconds()
    except (TypeError, ValueError):
        yield down("runner", "has never asked for work", "start `promptship runner`")
        return
    if silent_s > POLLED_S_MAX:
        yield down(
            "runner", f"silent for {silent_s:.0f} s", "start `promptship runner`: releases stand still"
        )
    else:
        yield ok("runner", "asks for work")


def _workers(api: str, headers: Mapping[str, str], pool: str) -> Iterator[Found]:
    known = _ask("GET", f"{api}/work_pools/{pool}", headers=headers).json()
    if known.get("is_paused"):
        yield fail("work pool", f"{pool} is paused", f"prefect work-pool resume {pool}")
    found = _ask("POST", f"{api}/work_pools/{pool}/workers/filter", headers=headers, json={}).json()
    names = sorted(one["name"] for one in found if one.get("status") == "ONLINE")
    if not names:
        yield down(
            "workers", f"none of the pool {pool} is online", "start `promptship fleet worker` on a machine"
        )
    elif len(names) == 1:
        yield warn("workers", f"only {names[0]} is online", "start a second one, so that one may fail")
    else:
        yield ok("workers", f"{len(names)} online: {', '.join(names)}")


def _automations(api: str, headers: Mapping[str, str], wanted: Sequence[str]) -> Iterator[Found]:
    found = _ask("POST", f"{api}/automations/filter", headers=headers, json={}).json()
    active = {one["name"] for one in found if one.get("enabled")}
    missing = [name for name in wanted if name not in active]
    if missing:
        yield warn("automations", f"missing or switched off: {'; '.join(missing)}", "promptship fleet setup")
    else:
        yield ok("automations", f"{len(wanted)} installed")


def collector(settings: Settings, headers: Mapping[str, str]) -> Iterator[Found]:
    """Whether the OpenTelemetry collector takes spans: it is sent none."""
    if not settings.otel.endpoint:
        return
    url = f"{settings.otel.endpoint.rstrip('/')}/v1/traces"
    try:
        answer = _ask("POST", url, json={"resourceSpans": []}, headers=headers)
    except Unavailable as error:
        yield down(
            "OpenTelemetry",
            str(error),
            "start the collector, or correct [otel] endpoint; spans are lost meanwhile",
        )
        return
    if answer.is_success:
        yield ok("OpenTelemetry", settings.otel.endpoint)
    else:
        advice = f"see [otel] endpoint, and the variable {settings.otel.headers_env}"
        yield fail("OpenTelemetry", f"{url} answers {answer.status_code}", advice)


def _clock_of(whose: str, answer: httpx.Response) -> Iterator[Found]:
    difference = ahead_s(answer.headers.get("date", ""), time.time())
    if difference is not None:
        yield from clock(whose, difference)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(word) for word in re.findall(r"\d+", version)[:3])
