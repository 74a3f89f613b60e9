"""Prompts, their version at a commit, and their rules, as `promptship eval` and `promptship redteam` find them."""

from __future__ import annotations

import sys

from promptship.adapters.git import GitRepository
from promptship.errors import ConfigError, NotFound
from promptship.ports import Tree
from promptship.prompts.load import is_prompt_path, load
from promptship.prompts.model import Loaded, Prompt
from promptship.release.plan import Regression
from promptship.settings import Settings
from promptship.settings_file import plan_for


def find(tree: Tree, settings: Settings, wanted: str) -> Loaded:
    """A prompt by path or by name. Broken files of other prompts do not matter."""
    paths = [path for path in tree.files() if is_prompt_path(path, settings.repository.prompts)]
    if wanted in paths:
        return load(wanted, tree.read(wanted))
    names = []
    for path in paths:
        try:
            loaded = load(path, tree.read(path))
        except ConfigError:
            # Its name cannot be known for sure; if it looks like the one, the mistake is the answer.
            if path.rpartition("/")[2].partition(".")[0] == wanted:
                raise
            continue
        if loaded.prompt.name == wanted:
            return loaded
        names.append(loaded.prompt.name)
    raise NotFound(f"no prompt {wanted!r} in {tree.name}; there are: {', '.join(sorted(names)) or 'none'}")


def at_commit(settings: Settings, ref: str | None, candidate: Loaded) -> Prompt | None:
    """The prompt at a commit; without a name (None) at HEAD, or None, said aloud, when it is not there."""
    repository = GitRepository((settings.root / settings.repository.url).resolve())
    try:
        tree = repository.tree(repository.resolve(ref or "HEAD").id)
        return find(tree, settings, candidate.prompt.name).prompt
    except (NotFound, ConfigError) as error:
        if ref is not None:  # asked for by name: then it must be there
            raise
        print(f"nothing to compare with: {error}", file=sys.stderr)
        return None


def rules_of(
    settings: Settings, candidate: Loaded, suites: tuple[str, ...], trials: int | None
) -> Regression:
    """The plan's rules with the options of the command line over them."""
    rules = plan_for(candidate.prompt, settings.plans, candidate.source).regression
    changes = {"suites": suites or rules.suites, "trials": trials or rules.trials}
    return rules.model_copy(update=changes)
