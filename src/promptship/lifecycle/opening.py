"""A push becomes releases: one per changed prompt and commit, however often and in whatever order pushes are announced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from promptship.errors import ConfigError, Conflict, IllegalTransition, NotFound
from promptship.lifecycle.app import App
from promptship.lifecycle.changes import name_of, what_changed
from promptship.lifecycle.declared import groups_in, prompts_in
from promptship.lifecycle.ending import cancel, end
from promptship.lifecycle.environments import branches, environment_of, rules_of
from promptship.lifecycle.line import Line
from promptship.lifecycle.race import rereading
from promptship.lifecycle.reconcile import nudge, nudge_all
from promptship.ports import Commit, ReleaseSummary, Tree
from promptship.prompts.digest import digest
from promptship.prompts.load import default_name, load
from promptship.release.environment import Place, parse, route_name
from promptship.release.events import Requested, Superseded
from promptship.release.history import Release
from promptship.release.phase import BEFORE_TRAFFIC, OPEN, Phase
from promptship.render.redact import redact

PUSHED: Final = "push:"
"""Beginning of the actor of a push, whoever announced it."""
NUDGED_MAX: Final = 20
"""Releases of one push whose runs are asked for while somebody waits for the answer; the reconciler finds the others due."""
_LOOK_BACK: Final = 20
"""Releases of a prompt among which a newer one is looked for."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A release that a push asked for; `created` is False when it was there already."""

    release_id: str
    prompt: str
    created: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a push."""

    opened: tuple[Opened, ...] = ()
    as_served: tuple[str, ...] = ()
    """Prompts whose suites or plan changed, but whose text is what production serves: nothing to release."""
    rolled_back: tuple[str, ...] = ()
    """Prompts whose suites or plan changed, and whose unchanged text was rolled back: it has to change, or be asked for."""
    removed: tuple[str, ...] = ()
    """Prompts without a file now: they are served on."""


@dataclass(frozen=True, slots=True)
class _File:
    """A prompt's file at a commit."""

    path: str
    name: str
    """Of its route: in which environment it is to be released."""
    digest: str | None
    """None: it cannot be read as a prompt."""
    together: tuple[str, ...] = ()
    """Names of the other routes of its group."""


def open_for_push(app: App, *, before: str, after: str, actor: str, branch: str = "") -> tuple[Opened, ...]:
    """The releases of `take_push`."""
    return take_push(app, before=before, after=after, actor=actor, branch=branch).opened


def take_push(app: App, *, before: str, after: str, actor: str, branch: str = "") -> Taken:
    """Open a release for every prompt that changed from commit `before` to `after`, in every environment that the branch feeds.

    `branch`: what was pushed to; empty: `repository.branch`.

    A prompt whose suites or plan changed, but not its file, is released when its text is neither what production serves nor was
    rolled back: a rejection by an earlier suite is thereby judged anew. The same holds for every prompt when `before` is all
    zeros (a new branch) or not known.

    Announcements may come in any order: the release of a commit that is older on the branch is superseded at once. A push back to
    an older commit (`git push --force`) is meant: what was pushed away is older.

    Raises:
        NotFound: commit `after` is unknown to the repository.
    """
    commit = app.repository.resolve(after)
    branch = branch or app.settings.repository.branch
    tree, line = app.repository.tree(commit.id), Line(app.repository, branch)
    taken = [
        _take_in(app, environment, before=before, commit=commit, actor=actor, tree=tree, line=line)
        for environment in branches(app.settings).get(branch, ())
    ]
    opened = tuple(one for each in taken for one in each.opened)
    nudge_all(app, [one.release_id for one in opened[:NUDGED_MAX]])
    return Taken(
        opened=opened,
        as_served=tuple(name for each in taken for name in each.as_served),
        rolled_back=tuple(name for each in taken for name in each.rolled_back),
        removed=tuple(dict.fromkeys(name for each in taken for name in each.removed)),
    )


def _take_in(
    app: App, environment: str, *, before: str, commit: Commit, actor: str, tree: Tree, line: Line
) -> Taken:
    """What a push becomes in one environment."""
    plan = rules_of(app.settings, route_name(Place(environment, ""))).plan
    changed = what_changed(app.repository, app.settings, before, commit.id, plan=plan)
    files = [_file(tree, path, environment) for path in changed.prompts]
    as_served, rolled_back = [], []
    for path in changed.judged_anew:
        file = _file(tree, path, environment)
        if file.digest is not None and _serves(app, file):
            as_served.append(file.name)
        elif _was_rolled_back(app, file):
            rolled_back.append(file.name)
        else:
            files.append(file)
    files = _with_groups(app, tree, environment, files)
    opened = tuple(_open(app, file=file, commit=commit, actor=actor, line=line) for file in files)
    return Taken(
        opened=opened, as_served=tuple(as_served), rolled_back=tuple(rolled_back), removed=changed.removed
    )


def open_release(
    app: App,
    *,
    prompt: str,
    ref: str,
    actor: str,
    reason: str = "",
    again: bool = False,
    environment: str = "",
) -> Opened:
    """Open a release of one prompt (name or path) at a ref by hand, in the environment of that name (empty: the default one).

    `again` opens a new attempt for a commit whose release ended without a verdict (failed, cancelled, superseded).

    Raises:
        NotFound: no such commit, or no prompt of that name in it.
        ConfigError: no such environment.
        Unavailable: the remote that is mirrored does not answer.
    """
    there = environment_of(app.settings, environment)
    app.repository.fetch()
    commit = app.repository.resolve(ref)
    path = find_prompt(app, commit.id, prompt)
    return open_at(app, path, commit, environment=there, actor=actor, reason=reason, again=again)


def open_at(
    app: App,
    path: str,
    commit: Commit,
    *,
    environment: str,
    actor: str,
    reason: str,
    again: bool = False,
) -> Opened:
    """Open a release of a prompt's file at a commit, in an environment as places have it; it replaces those opened before it."""
    tree = app.repository.tree(commit.id)
    opened = [
        _open(app, file=file, commit=commit, actor=actor, reason=reason, again=again)
        for file in _with_groups(app, tree, environment, [_file(tree, path, environment)])
    ]
    nudge_all(app, [one.release_id for one in opened])
    return opened[0]


def open_along(app: App, release: Release, prompt: str) -> str | None:
    """Release another prompt (as its route is called) of a release's group at the same commit; None: that text is served already.

    Returns a release that has ended where the text has had a verdict of its own: then nothing new is opened.

    Raises:
        NotFound: the commit has no such prompt.
    """
    commit, there = app.repository.resolve(release.commit), parse(prompt)
    path = find_prompt(app, commit.id, there.prompt)
    file = _file(app.repository.tree(commit.id), path, there.environment)
    if file.digest is not None and _serves(app, file):
        return None
    stopped = _rolled_back(app, file)
    if stopped is not None:
        return stopped
    group = {release.prompt, *release.together}
    actor = app.ledger.events(release.id, looks=False)[0].actor
    file = replace(file, together=tuple(sorted(group - {file.name})))
    opened = _open(app, file=file, commit=commit, actor=actor, again=True)
    nudge(app, opened.release_id)
    return opened.release_id


def find_prompt(app: App, commit: str, prompt: str) -> str:
    """Path of the prompt with this name (or path) in a commit. Raises NotFound and lists what is there."""
    tree = app.repository.tree(commit)
    paths = prompts_in(tree, app.settings)
    if prompt in paths:
        return prompt
    names = {name_of(tree.read(path), path): path for path in paths}
    if prompt not in names:
        known = ", ".join(sorted(names)) or "none"
        message = f"no prompt {prompt} at {tree.name}; prompts there: {known}"
        raise NotFound(message)
    return names[prompt]


def _file(tree: Tree, path: str, environment: str) -> _File:
    try:
        prompt = load(path, tree.read(path)).prompt
        return _File(path, route_name(Place(environment, prompt.name)), digest(prompt))
    except ConfigError:
        return _File(path, route_name(Place(environment, default_name(path))), None)


def _serves(app: App, file: _File) -> bool:
    route = app.routes.get(file.name)
    return route is not None and route.stable == file.digest


def _was_rolled_back(app: App, file: _File) -> bool:
    """Whether this very text was taken back from production: a suite that changed is no reason to try it there again."""
    return _rolled_back(app, file) is not None


def _rolled_back(app: App, file: _File) -> str | None:
    """Release whose own verdict took this very text back; not one that followed another of its group."""
    back = app.ledger.summaries(prompt=file.name, phases=frozenset({Phase.ROLLED_BACK}), limit=_LOOK_BACK)
    releases = (app.release(one.id) for one in back) if file.digest is not None else ()
    return next((one.id for one in releases if one.version == file.digest and not one.along_with), None)


def _with_groups(app: App, tree: Tree, environment: str, files: Sequence[_File]) -> list[_File]:
    """The files, with what belongs to each; and those of their groups whose text is neither served nor was rolled back."""
    instead = rules_of(app.settings, route_name(Place(environment, ""))).plan
    groups = {
        route_name(Place(environment, name)): frozenset(route_name(Place(environment, one)) for one in group)
        for name, group in groups_in(tree, app.settings, instead=instead).items()
    }
    if not groups:
        return list(files)
    found = {file.name: file for file in files}
    wanted = {one for file in files for one in groups.get(file.name, ())} - found.keys()
    for path in prompts_in(tree, app.settings) if wanted else ():
        file = _file(tree, path, environment)
        if file.name in wanted and not (_serves(app, file) or _was_rolled_back(app, file)):
            found[file.name] = file
    return [
        replace(file, together=tuple(sorted(groups.get(file.name, frozenset()) - {file.name})))
        for file in found.values()
    ]


def _open(
    app: App,
    *,
    file: _File,
    commit: Commit,
    actor: str,
    reason: str = "",
    again: bool = False,
    line: Line | None = None,
) -> Opened:
    """`line`: the branch that was pushed to; None: somebody asked for just this commit."""
    fact = Requested(
        prompt=file.name, path=file.path, commit=commit.id, author=commit.author, reason=redact(reason),
        together=file.together,
    )  # fmt: skip
    now = app.clock.now()
    release_id, created = app.ledger.open_release(fact, actor=actor, at=now, again=again)
    newer = None if line is None else _newer(app, file.name, commit.id, line)
    if not created and line is not None and newer is None:
        if _came_back(app, release_id, commit.id, line):
            release_id, created = app.ledger.open_release(fact, actor=actor, at=now, again=True)
        elif line.holds(commit.id):
            _make_room(app, file, release_id, _pushed_away(app, file.name, line))
    # Also when it was there already: whoever opened it may have died before making room.
    if app.release(release_id).phase is Phase.REQUESTED:
        if newer is not None and _is_pushed(app, release_id):
            _supersede(app, release_id, by=newer)
        else:
            _make_room(app, file, release_id, _older(app, file.name, release_id, commit.id, line))
    return Opened(release_id, file.name, created)


def _came_back(app: App, release_id: str, commit: str, line: Line) -> bool:
    """Whether a release was superseded by a push that is the older one now: the branch was moved back to this commit."""
    facts = [event.fact for event in app.ledger.events(release_id, looks=False)]
    replaced = next((fact for fact in facts if isinstance(fact, Superseded)), None)
    if replaced is None:
        return False
    by = app.release(replaced.by_release)
    return _is_pushed(app, by.id) and line.is_newer(commit, by.commit) is True


def _is_pushed(app: App, release_id: str) -> bool:
    """Whether a push opened the release. One that a person asked for is meant, however old its commit."""
    return app.ledger.events(release_id, looks=False)[0].actor.startswith(PUSHED)


def _newer(app: App, prompt: str, commit: str, line: Line) -> str | None:
    """Release of the prompt at a newer state of the branch, whatever became of it."""
    for summary in app.ledger.summaries(prompt=prompt, limit=_LOOK_BACK):
        if line.is_newer(summary.commit, commit):
            return summary.id
    return None


def _pushed_away(app: App, prompt: str, line: Line) -> list[ReleaseSummary]:
    """Open releases of commits that the branch does not hold any more, unless a person asked for them."""
    found = app.ledger.summaries(prompt=prompt, phases=OPEN)
    return [one for one in found if line.holds(one.commit) is False and _is_pushed(app, one.id)]


def _older(
    app: App, prompt: str, release_id: str, commit: str, line: Line | None
) -> Sequence[ReleaseSummary]:
    """Open releases that this one replaces: of older states of the branch; where Git says nothing, those opened before."""
    found = app.ledger.summaries(prompt=prompt, phases=OPEN)
    ids = [summary.id for summary in found]  # newest first
    before = set(ids[ids.index(release_id) + 1 :]) if release_id in ids else set()
    older = []
    for summary in found:
        said = None if line is None else line.is_newer(commit, summary.commit)
        if summary.id != release_id and (summary.id in before if said is None else said):
            older.append(summary)
    return older


def _make_room(app: App, file: _File, release_id: str, older: Sequence[ReleaseSummary]) -> None:
    """Supersede older releases without traffic; cancel a running canary when its plan says a newer push does that."""
    for summary in older:
        try:
            if not _supersede(app, summary.id, by=release_id):
                _cancel_if_planned(app, summary.id, newer=release_id, digest=file.digest)
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


def _cancel_if_planned(app: App, release_id: str, *, newer: str, digest: str | None) -> None:
    """A push that leaves the canary's text as it is (a suite, a comment) is no reason to end it."""
    release = app.release(release_id)
    if not release.is_open or release.plan is None or release.version == digest:
        return
    if release.plan.on_newer == "cancel":
        cancel(app, release_id, actor="flow", reason=f"a newer push opened {newer}")
