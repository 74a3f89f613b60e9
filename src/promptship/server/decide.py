"""Approve, reject and roll back in the browser: the same use cases, policies and audit as in Slack and on the command line."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from promptship.errors import ConfigError, NotFound, PromptshipError, Refused
from promptship.lifecycle.approval import approve, reject, roll_back
from promptship.numbers import moment, plural
from promptship.release.history import Release
from promptship.release.phase import Phase
from promptship.render.card import approval_card
from promptship.render.redact import redact
from promptship.server.access import COOKIE, same
from promptship.server.answers import STATUS
from promptship.server.bodies import read_body, release_in_path
from promptship.server.cards import refresh_cards
from promptship.server.pages import headed, is_known, login_page, may_be_decided, page
from promptship.server.plane import Plane, plane, threaded

_BYTES_MAX: Final = 20_000
_REASON_LENGTH_MAX: Final = 2000
_DECISIONS: Final = frozenset({"approve", "reject", "roll_back"})


async def form(request: Request) -> Response:
    """The question once more, and the buttons."""
    if not is_known(request):
        return login_page(request)
    try:
        release = await threaded(_find, plane(request), release_in_path(request))
    except (NotFound, ConfigError):
        return page(request, "nothing.html", status=404, message="There is no such release.")
    return _form(request, release)


async def decide(request: Request) -> Response:
    """Back to the release when the decision counts; the form with the reason why not when it does not."""
    here = plane(request)
    if not is_known(request):
        return login_page(request)
    try:
        release = await threaded(_find, here, release_in_path(request))
    except (NotFound, ConfigError):
        return page(request, "nothing.html", status=404, message="There is no such release.")
    fields = await _fields(request)
    if not same(fields.get("form", ""), _form_key(request)):
        return _form(
            request, release, problem="The form was not ours or too old; please try again.", status=403
        )
    if fields.get("decision") not in _DECISIONS or not fields.get("who", "").strip():
        return _form(request, release, problem="Say who you are.", status=400, **_kept(fields))
    try:
        await threaded(_decide, here, release.id, fields)
    except PromptshipError as error:
        status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 400)
        said = "This did not count" if isinstance(error, Refused) else "This was not written down"
        release = await threaded(_find, here, release.id)
        return _form(request, release, problem=f"{said}: {error}", status=status, **_kept(fields))
    here.later(_refresh(here, release.id))
    return headed(RedirectResponse(f"/releases/{release.id}", 303))


def _decide(here: Plane, release_id: str, fields: dict[str, str]) -> None:
    who, reason = fields["who"].strip()[:200], redact(fields.get("reason", "").strip()[:_REASON_LENGTH_MAX])
    seen = fields.get("seq", "")
    seq = int(seen) if seen.isascii() and seen.isdecimal() and len(seen) <= 9 else -2  # noqa: PLR2004 - a seq of ours
    match fields["decision"]:
        case "approve":
            approve(here.app, release_id, who=who, via="web", seq=seq, reason=reason)
        case "reject":
            reject(here.app, release_id, who=who, via="web", seq=seq, reason=reason)
        case _:
            roll_back(here.app, release_id, who=who, via="web", reason=reason)


def _find(here: Plane, release: str) -> Release:
    return here.app.release(here.app.ledger.find(release))


async def _refresh(here: Plane, release_id: str) -> None:
    await threaded(refresh_cards, here.app, release_id)


def _form(
    request: Request,
    release: Release,
    *,
    problem: str = "",
    status: int = 200,
    who: str = "",
    reason: str = "",
) -> Response:
    waits = release.phase is Phase.AWAITING_APPROVAL
    missing = max(release.required - len(release.approvers), 0)
    return page(
        request, "decide.html", status=status, id=release.id, name=release.prompt, seq=release.question_seq, form=_form_key(request),
        title=approval_card(release).title if waits else release.prompt, waits=waits, may=may_be_decided(release), problem=problem,
        needs=f"{plural(missing, 'approver')} by {moment(release.expires_at)}" if waits else "", because=release.reason,
        who=who, reason=reason,
    )  # fmt: skip


async def _fields(request: Request) -> dict[str, str]:
    try:
        body = (await read_body(request, bytes_max=_BYTES_MAX)).decode("utf-8", "replace")
        return {
            name: values[0].replace("\x00", "") for name, values in parse_qs(body, max_num_fields=8).items()
        }
    except ValueError:  # too many fields
        return {}


def _kept(fields: dict[str, str]) -> dict[str, Any]:
    return {"who": fields.get("who", ""), "reason": fields.get("reason", "")}


def _form_key(request: Request) -> str:
    """Only a page of ours knows it: another site can send a form, but not read one."""
    session = request.cookies.get(COOKIE, "")
    return hmac.new(plane(request).secret, f"form\n{session}".encode(), hashlib.sha256).hexdigest()


ROUTES: Final = [
    Route("/releases/{release}/decide", form, methods=["GET"]),
    Route("/releases/{release}/decide", decide, methods=["POST"]),
]
