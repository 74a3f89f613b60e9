"""The dashboard: a list of releases, and one release with its evidence. Server-rendered, without scripts or outside assets."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from promptship.errors import ConfigError, NotFound
from promptship.lifecycle.app import App
from promptship.lifecycle.groups import companions, described
from promptship.lifecycle.kill import killed, notice
from promptship.numbers import moment
from promptship.release.history import Release, fold
from promptship.release.phase import WATCHED, Phase
from promptship.server.access import COOKIE, SESSION_S_MAX, has_session, new_session, same
from promptship.server.bodies import read_body, release_in_path
from promptship.server.cards import change_of
from promptship.server.plane import Plane, plane, threaded
from promptship.server.views import list_rows, release_view

_TEMPLATES: Final = Path(__file__).parent / "templates"
_LISTED_MAX: Final = 100
_REFRESH_S: Final = 5
_LOGIN_BYTES_MAX: Final = 10_000
_OWN_PATH: Final = re.compile(r"/(?:releases/[A-Za-z0-9._:-]{1,200}(?:/decide)?)?")


async def index(request: Request) -> Response:
    """The newest releases."""
    here = plane(request)
    if not is_known(request):
        return login_page(request)
    summaries = await threaded(here.app.ledger.summaries, limit=_LISTED_MAX)
    rows = list_rows(summaries, here.app.clock.now(), await threaded(companions, here.app, summaries))
    return page(
        request, "releases.html", rows=rows, killed=await threaded(_killed, here.app), refresh=_REFRESH_S
    )


async def show(request: Request) -> Response:
    """One release."""
    here = plane(request)
    if not is_known(request):
        return login_page(request)
    try:
        view = await threaded(_view, here.app, release_in_path(request))
    except (NotFound, ConfigError):
        return page(request, "nothing.html", status=404, message="There is no such release.")
    return page(request, "release.html", **view)


def _killed(app: App, only: str = "") -> list[str]:
    """A line per prompt whose kill switch is on."""
    return [
        f"{notice(prompt, since)}, since {moment(since.at)}"
        for prompt, since in killed(app)
        if only in {"", prompt}
    ]


async def login_form(request: Request) -> Response:
    """The form; `?token=` signs in at once, for a link that `promptship up` prints."""
    given = request.query_params.get("token")
    return login_page(request, status=200) if given is None else _sign_in(request, given, "/")


async def login(request: Request) -> Response:
    """The form, filled in."""
    try:
        fields = parse_qs(
            (await read_body(request, bytes_max=_LOGIN_BYTES_MAX)).decode("utf-8", "replace"),
            max_num_fields=4,
        )
    except ValueError:  # too many fields
        fields = {}
    return _sign_in(request, fields.get("token", [""])[0], fields.get("next", ["/"])[0])


async def logout(request: Request) -> Response:
    """Forget the session."""
    response = headed(RedirectResponse("/login", 303))
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict", secure=_secure(request))
    return response


def _sign_in(request: Request, given: str, to: str) -> Response:
    here = plane(request)
    if not same(given.strip(), here.token):
        return login_page(request, wrong=True, to=to)
    response = headed(RedirectResponse(to if _OWN_PATH.fullmatch(to) else "/", 303))
    session = new_session(here.token, here.secret, here.app.clock.now())
    response.set_cookie(
        COOKIE,
        session,
        max_age=SESSION_S_MAX,
        path="/",
        httponly=True,
        samesite="strict",
        secure=_secure(request),
    )
    return response


def login_page(
    request: Request, *, status: int = 401, wrong: bool = False, to: str | None = None
) -> Response:
    """The sign-in, which leads back to where the request was going."""
    to = request.url.path if to is None else to
    back = to if _OWN_PATH.fullmatch(to) else "/"
    return page(request, "login.html", status=status, known=False, wrong=wrong, next=back)


def is_known(request: Request) -> bool:
    """Whether the browser is signed in."""
    here = plane(request)
    return has_session(request, here.token, here.secret, here.app.clock.now())


def _secure(request: Request) -> bool:
    return request.url.scheme == "https"


def _view(app: App, release: str) -> dict[str, Any]:
    events = app.ledger.events(app.ledger.find(release))
    folded = fold(events)
    together, waits = described(app, folded)
    view = release_view(folded, events, change_of(app, folded), together=together, waits=waits)
    return {
        **view,
        "decide": _decision(folded),
        "id": folded.id,
        "killed": _killed(app, folded.prompt),
        "refresh": _REFRESH_S if folded.is_open else 0,
    }


def may_be_decided(release: Release) -> bool:
    """Whether a person may approve or reject it, or take its traffic away."""
    return release.phase in WATCHED or (release.phase is Phase.PROMOTED and release.stable is not None)


def _decision(release: Release) -> str:
    """What the button on the release's page says; empty: there is none."""
    if release.phase is Phase.AWAITING_APPROVAL:
        return "Approve or reject"
    return "Roll back" if may_be_decided(release) else ""


def page(
    request: Request, template: str, *, status: int = 200, known: bool = True, refresh: int = 0, **values: Any
) -> Response:
    """A page of ours from its template."""
    here: Plane = plane(request)
    text = _environment().get_template(template).render(
        style=_style(), known=known, where=_where(here.app), refresh=refresh, **values
    )  # fmt: skip
    return headed(HTMLResponse(text, status))


def _where(app: App) -> str:
    """Name of the repository whose releases these are."""
    settings = app.settings
    return (settings.root / settings.repository.url).resolve().name


def headed(response: Response) -> Response:
    """Nothing from outside, no frames, no scripts, nothing kept."""
    digest = b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


@cache
def _style() -> Markup:
    return Markup((_TEMPLATES / "style.css").read_text(encoding="utf-8"))  # noqa: S704 - our own file


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


ROUTES: Final = [
    Route("/", index, methods=["GET"]),
    Route("/releases/{release}", show, methods=["GET"]),
    Route("/login", login_form, methods=["GET"]),
    Route("/login", login, methods=["POST"]),
    Route("/logout", logout, methods=["POST"]),
]
