"""The kill switch: a version named beforehand serves everybody at once, whatever canary, stable version or pin there is.

It needs the ledger and nothing else: no Git, no Prefect, no provider, no answer of anybody.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass

from promptship.errors import Conflict, IllegalTransition, NotFound, PromptshipError, Refused
from promptship.lifecycle.app import App
from promptship.lifecycle.ending import cancel, end, served_version
from promptship.lifecycle.experiment_record import take_back
from promptship.lifecycle.opening import find_prompt
from promptship.lifecycle.race import rereading
from promptship.numbers import short
from promptship.ports import RouteRecord
from promptship.prompts.digest import canonical, digest, from_canonical
from promptship.prompts.load import load
from promptship.prompts.model import Prompt, Variable
from promptship.release.environment import prompt_of
from promptship.release.events import RolledBack
from promptship.release.phase import OPEN, WATCHED
from promptship.render.redact import redact
from promptship.routing.table import Version

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Switched:
    """What turning the switch did."""

    prompt: str
    serves: str
    """Digest that everybody gets now."""
    notice: str
    """One line for people."""
    ended: tuple[str, ...] = ()
    """Releases that were open, and an experiment or holdback that ran."""


def name_safe(app: App, prompt: str, file: str, *, ref: str, actor: str) -> str:
    """Keep a version in the ledger for the day the switch is needed; returns its digest. `file`: a prompt's name, or a path.

    Raises:
        NotFound: no such commit or file, or the prompt is not served yet.
        ConfigError: the file is wrong.
        Refused: it wants variables that callers of the prompt need not send: then it would answer some of them with an error.
    """
    commit = app.repository.resolve(ref)
    path = find_prompt(app, commit.id, file)
    safe = load(path, app.repository.tree(commit.id).read(path)).prompt
    route = app.routes.get(prompt)
    if route is None or route.stable is None:
        raise NotFound(f"prompt {prompt} is not served yet: adopt or release it first")
    safe = _answering(safe, from_canonical(prompt_of(prompt), app.routes.version(route.stable).content), path)
    version = Version(digest=digest(safe), commit=commit.id, content=canonical(safe))
    app.routes.name_safe(prompt, version, actor=actor, at=app.clock.now())
    return version.digest


def kill(app: App, prompt: str, *, actor: str, reason: str, to: str = "") -> Switched:
    """Serve the safe version, or the version `to` (a digest, or the beginning of one), to everybody at once; end open releases.

    The route changes in the first transaction; the releases, which have no traffic from then on, end after it.

    Raises:
        NotFound: the prompt is not served, no safe version is named, or none of its versions is `to`.
    """
    said = redact(reason)
    serves = served_version(app, prompt, to, also=app.routes.safe(prompt)) if to else app.routes.safe(prompt)
    if serves is None:
        known = "is not served" if app.routes.get(prompt) is None else "has no safe version"
        raise NotFound(
            f"prompt {prompt} {known}; name one with `promptship adopt <file> --safe-for {prompt}`, or a version with --to"
        )
    app.routes.kill(prompt, serves, actor=actor, at=app.clock.now(), reason=said)
    taken = take_back(app, prompt, actor=actor, reason=f"kill switch: {said}")
    ended = [] if taken is None else [taken]
    ended += _end_open(app, prompt, actor=actor, reason=f"kill switch: {said}")
    return Switched(prompt, serves, _notice(prompt, f"kill switch on: {said}", actor, serves), tuple(ended))


def undo(app: App, prompt: str, *, actor: str, reason: str) -> Switched:
    """Serve again what served before, or what was made stable meanwhile.

    Raises:
        NotFound: the prompt is not served.
        Refused: the switch is off.
    """
    route = app.routes.get(prompt)
    if route is None:
        raise NotFound(f"no prompt {prompt} is being served")
    if route.killed is None:
        raise Refused(f"the kill switch of {prompt} is off")
    said = redact(reason)
    if take_back(app, prompt, actor=actor, reason=f"kill switch, now off: {said}") is None and route.split:
        # Whoever turned the switch on died before this canary was ended: it must not come back with the rest.
        with suppress(IllegalTransition):
            _end(app, route.split.release_id, actor=actor, reason=f"kill switch, now off: {said}")
    route = app.routes.kill(prompt, None, actor=actor, at=app.clock.now(), reason=said)
    serves = route.stable or ""
    return Switched(prompt, serves, _notice(prompt, f"kill switch off: {said}", actor, serves))


def tell(app: App, switched: Switched) -> bool:
    """Say in the configured channel who turned the switch, and why; False: nobody could be told now. The ledger has it."""
    try:
        app.approvals.tell(None, switched.notice)
    except PromptshipError as error:
        _log.warning("nobody was told of the kill switch of %s: %s", switched.prompt, error)
        return False
    return True


def notice(prompt: str, record: RouteRecord) -> str:
    """One line about a change of a route."""
    return _notice(prompt, record.reason, record.actor, record.killed or record.stable or "")


def _notice(prompt: str, reason: str, actor: str, serves: str) -> str:
    return redact(f"{prompt}: {reason} (by {actor}); everybody gets {short(serves)}")


def killed(app: App) -> list[tuple[str, RouteRecord]]:
    """Prompts whose switch is on, each with the change that turned it on."""
    found = []
    for prompt, route in sorted(app.routes.table().routes.items()):
        if route.killed is not None:
            history = app.routes.history(prompt)
            since = next((at for at, one in enumerate(history) if one.killed != route.killed), len(history))
            found.append((prompt, history[since - 1]))
    return found


def _answering(safe: Prompt, stable: Prompt, path: str) -> Prompt:
    """The safe version with every variable that callers send today: what it does not use it must take all the same."""
    wanted = {
        name
        for name, variable in safe.variables.items()
        if variable.required and not (name in stable.variables and stable.variables[name].required)
    }
    other = {
        name
        for name, variable in safe.variables.items()
        if name in stable.variables and stable.variables[name].type is not variable.type
    }
    if wanted or other:
        names = ", ".join(sorted(wanted | other))
        raise Refused(
            f"{path} needs variables that not every caller of the prompt sends, or of another type: {names}; "
            "a safe version must answer whoever is answered today"
        )
    sent = {name: Variable(type=variable.type, required=False) for name, variable in stable.variables.items()}
    return safe.model_copy(update={"variables": {**sent, **safe.variables}})


def _end_open(app: App, prompt: str, *, actor: str, reason: str) -> list[str]:
    ended = []
    for summary in app.ledger.summaries(prompt=prompt, phases=OPEN):
        # It may end by itself, or move all the time: then it is stopped where it finds that the switch is on.
        with suppress(Conflict, IllegalTransition):
            _end(app, summary.id, actor=actor, reason=reason)
            ended.append(summary.id)
    return ended


@rereading
def _end(app: App, release_id: str, *, actor: str, reason: str) -> None:
    release = app.release(release_id)
    if release.phase in WATCHED:
        fact = RolledBack(by="person", reason=reason, version=release.stable)
        end(app, release, fact, actor=actor)
    else:
        cancel(app, release_id, actor=actor, reason=reason)
