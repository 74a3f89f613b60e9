"""The beginning: what production serves today becomes stable, so that the first release has something to be compared with."""

from __future__ import annotations

from collections.abc import Sequence

from promptship.errors import Conflict
from promptship.lifecycle.app import App
from promptship.lifecycle.opening import find_prompt
from promptship.prompts.digest import canonical, digest
from promptship.prompts.load import is_prompt_path, load
from promptship.routing.table import Version


def adopt(app: App, prompts: Sequence[str], *, ref: str, actor: str) -> list[tuple[str, str]]:
    """Make the named prompts (none named: all) of a commit stable; returns (name, digest) of those adopted.

    A prompt that has a stable version already is left alone when all were asked for.

    Raises:
        NotFound: no such commit or prompt.
        ConfigError: a prompt file is wrong; nothing of that file is adopted.
        Conflict: a prompt that was named has a stable version already; nothing was adopted.
    """
    commit = app.repository.resolve(ref)
    tree = app.repository.tree(commit.id)
    globs = app.settings.repository.prompts
    paths = [find_prompt(app, commit.id, name) for name in prompts] or [
        path for path in tree.files() if is_prompt_path(path, globs)
    ]
    loaded = [load(path, tree.read(path)).prompt for path in paths]
    new = [prompt for prompt in loaded if app.routes.get(prompt.name) is None]
    known = sorted({prompt.name for prompt in loaded} - {prompt.name for prompt in new})
    if prompts and known:
        message = f"stable version there already: {', '.join(known)}; nothing was adopted, push a change to release it"
        raise Conflict(message)
    adopted = []
    for prompt in new:
        version = Version(digest=digest(prompt), commit=commit.id, content=canonical(prompt))
        app.routes.adopt(prompt.name, version, actor=actor, at=app.clock.now())
        adopted.append((prompt.name, version.digest))
    return adopted
