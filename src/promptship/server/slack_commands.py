"""`/promptship status | release | rollback | history`, for those who would rather type than click."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence
from typing import Final
from uuid import uuid4

from promptship.adapters.slack import Command
from promptship.errors import PromptshipError, Refused
from promptship.lifecycle.app import App
from promptship.lifecycle.approvers import identify
from promptship.lifecycle.cards import page_of
from promptship.lifecycle.ending import roll_back_prompt
from promptship.lifecycle.opening import open_release
from promptship.lifecycle.reconcile import nudge
from promptship.numbers import duration, percent, short
from promptship.ports import ReleaseSummary
from promptship.release.environment import ROUTE_PATTERN
from promptship.release.phase import OPEN
from promptship.render.facts import PHASE_WORDS
from promptship.render.history import history_table
from promptship.render.redact import redact
from promptship.render.table import aligned, clipped
from promptship.routing.table import Route

_log = logging.getLogger(__name__)

REPLAY_S: Final = 900.0
"""Longer than a signature is good for."""
ROWS_MAX: Final = 15
TEXT_LENGTH_MAX: Final = 2900
USAGE: Final = """`/promptship status [prompt]`: what serves and what is being released
`/promptship history [prompt]`: what served before, or the last releases
`/promptship release <prompt> [ref]`: release a prompt at a branch or commit
`/promptship rollback <prompt> <why>`: serve the version before, at once"""


def run_command(app: App, command: Command) -> str:
    """What the person who typed it is shown, as Slack's markup."""
    word, *rest = command.words or ("help",)
    try:
        match word.lower():
            case "status":
                return _status(app, _prompt(rest))
            case "history":
                return _history(app, _prompt(rest))
            case "release" if rest:
                return _release(app, command, rest)
            case "rollback" if len(rest) > 1:
                return _rollback(app, command, rest)
            case "rollback":
                return "Say which prompt, and why: `/promptship rollback <prompt> <why>`"
            case "release":
                return "Say which prompt: `/promptship release <prompt> [ref]`"
            case _:
                return USAGE
    except PromptshipError as error:
        return _escaped(redact(f"{'No' if isinstance(error, Refused) else 'That did not work'}: {error}"))
    except Exception:  # noqa: BLE001 - the person who typed it is owed an answer
        _log.exception("a command in Slack failed")
        return "Something went wrong here; the log has the details."


def _status(app: App, prompt: str) -> str:
    routes = app.routes.table().routes if not prompt else {}
    route = app.routes.get(prompt) if prompt else None
    rows = [("prompt", "serves", "canary"), *(_row(name, routes[name]) for name in sorted(routes))]
    if route is not None:
        rows.append(_row(prompt, route))
    running = app.ledger.summaries(prompt=prompt or None, phases=OPEN, limit=ROWS_MAX)
    parts = [_table(rows) if len(rows) > 1 else "Nothing is served yet."]
    parts.append(_releases(app, running) if running else "No release is open.")
    return "\n".join(parts)


def _row(name: str, route: Route) -> tuple[str, str, str]:
    split = route.split
    serves = f"{short(route.killed)} (kill switch)" if route.killed else short(route.stable)
    return clipped(name, 40), serves, f"{short(split.candidate)} {percent(split.share)}" if split else ""


def _history(app: App, prompt: str) -> str:
    if prompt:
        return _fixed(history_table(prompt, app.routes.history(prompt)[:ROWS_MAX]))
    found = app.ledger.summaries(limit=ROWS_MAX)
    return _releases(app, found) if found else "There has been no release yet."


def _releases(app: App, found: Sequence[ReleaseSummary]) -> str:
    now = app.clock.now()
    rows = [
        (one.id, clipped(one.prompt, 40), PHASE_WORDS[one.phase], f"{duration((now - one.moved_at).total_seconds())} ago")
        for one in found
    ]  # fmt: skip
    return _table([("release", "prompt", "phase", "moved"), *rows])


def _release(app: App, command: Command, rest: list[str]) -> str:
    who = _entitled(app, command)
    ref = rest[1] if len(rest) > 1 else "HEAD"
    opened = open_release(
        app, prompt=rest[0], ref=ref, actor=f"person:{who}", reason=f"asked for in Slack by {redact(clipped(command.name, 80))}"
    )  # fmt: skip
    said = "is open" if opened.created else "is that commit's release already"
    return _escaped(
        f"{opened.prompt}: release {opened.release_id} {said}. {page_of(app, opened.release_id)}".strip()
    )


def _rollback(app: App, command: Command, rest: list[str]) -> str:
    who = _entitled(app, command)
    prompt, why = _prompt(rest), redact(" ".join(rest[1:]))
    _once(app, command)
    release_id = roll_back_prompt(app, prompt, actor=f"person:{who}", reason=why)
    nudge(app, release_id)
    route = app.routes.get(prompt)
    return _escaped(
        f"{prompt} serves {short(route.stable if route else None)} to everybody; rolled back release {release_id}."
    )


def _entitled(app: App, command: Command) -> str:
    """Name of the approver who typed it. Raises Refused for everybody else."""
    approver = identify(app, command.user)
    if approver is None:
        _log.warning("%s may not run `%s` in Slack", redact(command.user)[:40], command.words[0][:20])
        raise Refused("only approvers may do that from Slack; anybody may push")
    return approver.name


def _once(app: App, command: Command) -> None:
    """Rolling back twice goes two versions back: a replay must not do it, whichever control plane it reaches. Raises Refused."""
    key = hashlib.sha256(command.trigger_id.encode()).hexdigest()[:32]
    if not app.ledger.acquire(f"slack:{key}", uuid4().hex, ttl_s=REPLAY_S, at=app.clock.now()):
        raise Refused("this command has been run already; type it again to go back one version more")


def _prompt(rest: list[str]) -> str:
    """The prompt's name, empty for all. Raises Refused for what can be none."""
    name = rest[0] if rest else ""
    if name and not re.fullmatch(ROUTE_PATTERN, name, re.ASCII):
        raise Refused(f"{clipped(name, 60)} is not a prompt's name")
    return name


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    return _fixed("\n".join(aligned(rows[: ROWS_MAX + 1])) + ("\n…" if len(rows) > ROWS_MAX + 1 else ""))


def _fixed(text: str) -> str:
    lines, room = [], TEXT_LENGTH_MAX // 2
    for line in redact(text).replace("`", "'").splitlines():
        room -= len(line) + 1
        if room < 0:
            lines.append("…")
            break
        lines.append(_escaped(line))
    return "```\n" + "\n".join(lines) + "\n```"


def _escaped(text: str) -> str:
    """No mention, link or channel can come out of it."""
    return text[:TEXT_LENGTH_MAX].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
