"""`/api/releases` and `/api/prompts`: what people and programs read and decide. The same use cases as CLI and Slack."""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from promptship.errors import ConfigError, Problem
from promptship.lifecycle import kill as switch
from promptship.lifecycle.app import App
from promptship.lifecycle.approval import approve as give_approval
from promptship.lifecycle.approval import reject as give_rejection
from promptship.lifecycle.ending import cancel as end_by_cancel
from promptship.lifecycle.ending import roll_back_prompt
from promptship.lifecycle.environments import releases_in, route_in
from promptship.lifecycle.opening import open_release
from promptship.lifecycle.pausing import pause as hold_still
from promptship.lifecycle.pausing import resume as let_go_on
from promptship.release.history import Release, fold
from promptship.release.phase import Phase
from promptship.render.redact import redact
from promptship.server.answers import answer
from promptship.server.bodies import (
    Decision,
    Ending,
    Holding,
    Opening,
    Rollback,
    Switch,
    checked_name,
    name_in_path,
    read_json,
    release_in_path,
)
from promptship.server.cards import refresh_cards
from promptship.server.plane import Plane, plane, threaded

LIMIT_MAX: Final = 1000
_RELEASE: Final = TypeAdapter(Release)


async def listing(request: Request) -> Response:
    """Releases, newest first; `?prompt=`, `?environment=`, `?phase=` (repeatable) and `?limit=` narrow it."""
    query = request.query_params
    phases = frozenset(_phase(word) for word in query.getlist("phase")) or None
    prompt = checked_name(query["prompt"]) if "prompt" in query else None
    limit = _limit(query.get("limit", "100"))
    environment = query.get("environment", "")
    found = await threaded(
        releases_in, plane(request).app, environment, prompt=prompt, phases=phases, limit=limit
    )
    return answer({"releases": list(found)})


async def one(request: Request) -> Response:
    """A release as its events tell it, and the events; `?looks=false` keeps only the last look."""
    looks = request.query_params.get("looks", "true") != "false"
    return answer(await threaded(_one, plane(request).app, release_in_path(request), looks))


async def open_by_hand(request: Request) -> Response:
    """Open a release of a prompt at a ref: 201, or 200 when there is one already."""
    here, asked = plane(request), await read_json(request, Opening)
    opened = await threaded(
        open_release, here.app, prompt=asked.prompt, ref=asked.ref, actor=f"person:{asked.who}",
        reason=redact(asked.reason), again=asked.again, environment=asked.environment,
    )  # fmt: skip
    content = {"id": opened.release_id, "prompt": opened.prompt, "created": opened.created}
    return answer(content, 201 if opened.created else 200)


async def approve(request: Request) -> Response:
    """One approver's yes."""
    return await _decide(request, give_approval)


async def reject(request: Request) -> Response:
    """One approver's no."""
    return await _decide(request, give_rejection)


async def cancel(request: Request) -> Response:
    """Stop an open release; its traffic goes back to stable."""
    here, said = plane(request), await read_json(request, Ending)
    full = await threaded(here.app.ledger.find, release_in_path(request))
    release = await threaded(
        end_by_cancel, here.app, full, actor=f"person:{said.who}", reason=redact(said.reason)
    )
    return _decided(here, release)


async def pause(request: Request) -> Response:
    """Hold an open release where it stands."""
    return await _hold(request, hold_still)


async def resume(request: Request) -> Response:
    """Let a paused release go on."""
    return await _hold(request, let_go_on)


async def _hold(request: Request, use_case: Any) -> Response:
    here, said = plane(request), await read_json(request, Holding)
    full = await threaded(here.app.ledger.find, release_in_path(request))
    release = await threaded(use_case, here.app, full, actor=f"person:{said.who}", reason=redact(said.reason))
    return _decided(here, release)


async def rollback(request: Request) -> Response:
    """Serve the previous version of a prompt at once."""
    here, said, name = plane(request), await read_json(request, Rollback), _route(request)
    release_id = await threaded(
        roll_back_prompt, here.app, name, actor=f"person:{said.who}", reason=redact(said.reason), to=said.to
    )
    here.later(_refresh(here.app, release_id))
    return answer({"release_id": release_id})


async def kill(request: Request) -> Response:
    """Turn a prompt's kill switch on, or (`undo`) off."""
    here, said, name = plane(request), await read_json(request, Switch), _route(request)
    who, why = f"person:{said.who}", redact(said.reason)
    if said.undo:
        switched = await threaded(switch.undo, here.app, name, actor=who, reason=why)
    else:
        switched = await threaded(switch.kill, here.app, name, actor=who, reason=why, to=said.to)
    here.later(_tell(here.app, switched))
    return answer(switched)


async def _tell(app: App, switched: switch.Switched) -> None:
    await threaded(switch.tell, app, switched)
    for release_id in switched.ended:
        await threaded(refresh_cards, app, release_id)


async def history(request: Request) -> Response:
    """What a prompt serves, what served before, and its releases."""
    name = _route(request)
    return answer(await threaded(_history, plane(request).app, name))


async def _decide(request: Request, use_case: Any) -> Response:
    here, said = plane(request), await read_json(request, Decision)
    full = await threaded(here.app.ledger.find, release_in_path(request))
    release: Release = await threaded(
        use_case, here.app, full, who=said.who, via="api", seq=said.seq, reason=redact(said.reason)
    )
    return _decided(here, release)


def _decided(here: Plane, release: Release) -> Response:
    here.later(_refresh(here.app, release.id))
    return answer({"release": _RELEASE.dump_python(release, mode="json")})


async def _refresh(app: App, release_id: str) -> None:
    await threaded(refresh_cards, app, release_id)


def _one(app: App, release: str, looks: bool) -> dict[str, Any]:
    events = app.ledger.events(app.ledger.find(release), looks=looks)
    return {"release": _RELEASE.dump_python(fold(events), mode="json"), "events": list(events)}


def _history(app: App, prompt: str) -> dict[str, Any]:
    routes = list(app.routes.history(prompt))
    return {
        "prompt": prompt,
        "route": app.routes.get(prompt),
        "changes": routes,
        "releases": list(app.ledger.summaries(prompt=prompt, limit=LIMIT_MAX)),
    }


def _route(request: Request) -> str:
    """Name of the route of the prompt in the path, in the environment of the query (none named: the default one)."""
    settings = plane(request).app.settings
    return route_in(settings, request.query_params.get("environment", ""), name_in_path(request))


def _phase(word: str) -> Phase:
    try:
        return Phase(word)
    except ValueError:
        known = "expected one of " + ", ".join(Phase)
        raise ConfigError([Problem("query", "phase", repr(word[:80]), known)]) from None


def _limit(word: str) -> int:
    if not (word.isascii() and word.isdecimal() and len(word) <= 9 and 1 <= int(word) <= LIMIT_MAX):  # noqa: PLR2004
        raise ConfigError(
            [Problem("query", "limit", repr(word[:80]), f"expected a number from 1 to {LIMIT_MAX}")]
        )
    return int(word)


ROUTES: Final = [
    Route("/releases", listing, methods=["GET"]),
    Route("/releases", open_by_hand, methods=["POST"]),
    Route("/releases/{release}", one, methods=["GET"]),
    Route("/releases/{release}/approve", approve, methods=["POST"]),
    Route("/releases/{release}/reject", reject, methods=["POST"]),
    Route("/releases/{release}/cancel", cancel, methods=["POST"]),
    Route("/releases/{release}/pause", pause, methods=["POST"]),
    Route("/releases/{release}/resume", resume, methods=["POST"]),
    Route("/prompts/{name}/rollback", rollback, methods=["POST"]),
    Route("/prompts/{name}/kill", kill, methods=["POST"]),
    Route("/prompts/{name}/history", history, methods=["GET"]),
]
