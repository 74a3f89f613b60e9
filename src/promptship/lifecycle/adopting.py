"""The beginning: what production serves today becomes stable, so that the first release has something to be compared with."""

from __future__ import annotations

from collections.abc import Sequence

from promptship.errors import Conflict
from promptship.lifecycle.app import App
from promptship.lifecycle.environments import environment_of
from promptship.lifecycle.opening import find_prompt
from promptship.prompts.digest import canonical, digest
from promptship.prompts.load import is_prompt_path, load
from promptship.release.environment import Place, route_name
from promptship.routing.table import Version


def adopt(
    app: App, prompts: Sequence[str], *, ref: str, actor: str, environment: str = ""
) -> list[tuple[str, str]]:
    """Make the named prompts (none named: all) of a commit stable; returns (name of the route, digest) of those adopted.

    `environment`: its name; empty: the default one.

    A prompt that has a stable version already is left alone when all were asked for.

    Raises:
        NotFound: no such commit or prompt.
        ConfigError: a prompt file is wrong, and nothing of it is adopted; or there is no such environment.
        Conflict: a prompt that was named has a stable version already; nothing was adopted.
    """
    there = environment_of(app.settings, environment)
    commit = app.repository.resolve(ref)
    tree = app.repository.tree(commit.id)
    globs = app.settings.repository.prompts
    paths = [find_prompt(app, commit.id, name) for name in prompts] or [
        path for path in tree.files() if is_prompt_path(path, globs)
    ]
    loaded = [load(path, tree.read(path)).prompt for path in paths]
    placed = [(route_name(Place(there, prompt.name)), prompt) for prompt in loaded]
    new = [(name, prompt) for name, prompt in placed if app.routes.get(name) is None]
    known = sorted({name for name, _ in placed} - {name for name, _ in new})
    if prompts and known:
        message = f"stable version there already: {', '.join(known)}; nothing was adopted, push a change to release it"
        raise Conflict(message)
    adopted = []
    for name, prompt in new:
        version = Version(digest=digest(prompt), commit=commit.id, content=canonical(prompt))
        app.routes.adopt(name, version, actor=actor, at=app.clock.now())
        adopted.append((name, version.digest))
    return adopted
