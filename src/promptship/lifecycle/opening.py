"""A push becomes releases: one per changed prompt and commit, however often it is announced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from promptship.errors import ConfigError, Conflict, IllegalTransition, NotFound
from promptship.lifecycle.app import App
from promptship.lifecycle.ending import cancel, end
from promptship.lifecycle.race import rereading
from promptship.lifecycle.reconcile import nudge
from promptship.ports import Commit, ReleaseSummary
from promptship.prompts.load import default_name, is_prompt_path, load
from promptship.release.events import Requested, Superseded
from promptship.release.phase import BEFORE_TRAFFIC, OPEN, Phase
from promptship.render.redact import redact


@dataclass(frozen=True, slots=True)
class Opened:
    """A release that a push asked for; `created` is False when it was there already."""

    release_id: str
    prompt: str
    created: bool


def open_for_push(app: App, *, before: str, after: str, actor: str) -> tuple[Opened, ...]:
    """Open a release for every prompt that changed from commit `before` to `after` (`before` all zeros: every prompt).

    Announcements of two pushes may arrive in the wrong order: the release of the commit that the other was built on is then
    superseded at once. A push back to an older commit (`git push --force`) is meant, and newer.

    Raises:
        NotFound: a commit is unknown to the repository.
    """
    commit = app.repository.resolve(after)
    changed = app.repository.changed(before, after)
    paths = [path for path in changed if is_prompt_path(path, app.settings.repository.prompts)]
    forward = bool(before.strip("0")) and app.repository.is_ancestor(before, after)
    return tuple(_open(app, path=path, commit=commit, actor=actor, forward=forward) for path in paths)


def open_release(
    app: App, *, prompt: str, ref: str, actor: str, reason: str = "", again: bool = False
) -> Opened:
    """Open a release of one prompt (name or path) at a ref by hand.

    `again` opens a new attempt for a commit whose release ended without a verdict (failed, cancelled, superseded).

    Raises:
        NotFound: no such commit, or no prompt of that name in it.
    """
    commit = app.repository.resolve(ref)
    path = find_prompt(app, commit.id, prompt)
    return _open(app, path=path, commit=commit, actor=actor, reason=reason, again=again)


def find_prompt(app: App, commit: str, prompt: str) -> str:
    """Path of the prompt with this name (or path) in a commit. Raises NotFound and lists what is there."""
    tree = app.repository.tree(commit)
    paths = [path for path in tree.files() if is_prompt_path(path, app.settings.repository.prompts)]
    if prompt in paths:
        return prompt
    names = {_name(tree.read(path), path): path for path in paths}
    if prompt not in names:
        known = ", ".join(sorted(names)) or "none"
        message = f"no prompt {prompt} at {tree.name}; prompts there: {known}"
        raise NotFound(message)
    return names[prompt]


def _name(content: bytes, path: str) -> str:
    """The prompt's name, even when its file is broken: a broken push must still show up under its name."""
    try:
        return load(path, content).prompt.name
    except ConfigError:
        return default_name(path)


def _open(
    app: App,
    *,
    path: str,
    commit: Commit,
    actor: str,
    reason: str = "",
    again: bool = False,
    forward: bool = False,
) -> Opened:
    name = _name(app.repository.tree(commit.id).read(path), path)
    fact = Requested(prompt=name, path=path, commit=commit.id, author=commit.author, reason=redact(reason))
    release_id, created = app.ledger.open_release(fact, actor=actor, at=app.clock.now(), again=again)
    # Also when it was there already: whoever opened it may have died before making room.
    if app.release(release_id).phase is Phase.REQUESTED:
        newer = _newer(app, name, commit) if created and forward else None
        if newer is None:
            _make_room(app, name, release_id)
        else:
            _supersede(app, release_id, by=newer)
    nudge(app, release_id)
    return Opened(release_id, name, created)


def _newer(app: App, prompt: str, commit: Commit) -> str | None:
    """Open release of the prompt whose commit was built on this one."""
    for summary in app.ledger.summaries(prompt=prompt, phases=OPEN):
        if summary.commit != commit.id and app.repository.is_ancestor(commit.id, summary.commit):
            return summary.id
    return None


def _make_room(app: App, prompt: str, release_id: str) -> None:
    """Supersede older releases without traffic; cancel a running canary when its plan says a newer push does that."""
    for summary in _older(app.ledger.summaries(prompt=prompt, phases=OPEN), release_id):
        try:
            if not _supersede(app, summary.id, by=release_id):
                _cancel_if_planned(app, summary.id, newer=release_id)
        except (Conflict, IllegalTransition):
            # It ended by itself in this instant, or moves all the time: then the newer release waits for its end.
            continue


@rereading
def _supersede(app: App, release_id: str, *, by: str) -> bool:
    """Replace a release that has no traffic yet; False when it has some, or has ended."""
    release = app.release(release_id)
    if release.phase not in BEFORE_TRAFFIC:
        return False
    end(app, release, Superseded(by_release=by), actor="flow")
    return True


def _cancel_if_planned(app: App, release_id: str, *, newer: str) -> None:
    release = app.release(release_id)
    if release.is_open and release.plan is not None and release.plan.on_newer == "cancel":
        cancel(app, release_id, actor="flow", reason=f"a newer push opened {newer}")


def _older(summaries: Sequence[ReleaseSummary], release_id: str) -> list[ReleaseSummary]:
    """Releases opened before this one: the list is newest first."""
    ids = [summary.id for summary in summaries]
    return list(summaries[ids.index(release_id) + 1 :]) if release_id in ids else []
