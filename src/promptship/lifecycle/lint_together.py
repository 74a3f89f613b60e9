"""The groups of a tree, linted for those of its prompts that are looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from promptship.errors import ConfigError
from promptship.lifecycle.declared import groups_in, planned_in, prompts_in
from promptship.ports import Tree
from promptship.prompts.lint.finding import LintFinding
from promptship.prompts.load import default_name, load
from promptship.prompts.model import Loaded
from promptship.release.lint_together import lint_together
from promptship.settings import Settings


def together_findings(
    tree: Tree, settings: Settings, loaded: Mapping[str, Loaded], *, instead: str
) -> Iterator[LintFinding]:
    """Findings about the groups of the prompts that were looked at; nothing else is read where there are no groups."""
    groups = groups_in(tree, settings, instead=instead)
    if not any(one.prompt.name in groups for one in loaded.values()):
        return
    plans = {
        one.prompt.name: plan for one, plan in planned_in(tree, settings, instead=instead, everybody=True)
    }
    known = {_name(tree, path) for path in prompts_in(tree, settings)}
    for one in loaded.values():
        name, line = one.prompt.name, one.source.line("release")
        if name in plans:
            yield from lint_together(name, plans, known, path=one.source.path, line=line)


def _name(tree: Tree, path: str) -> str:
    try:
        return load(path, tree.read(path)).prompt.name
    except ConfigError:
        return default_name(path)
