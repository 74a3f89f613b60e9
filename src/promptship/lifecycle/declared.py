"""Which prompts of a commit belong together, as their plans say."""

from __future__ import annotations

from collections.abc import Iterator

from promptship.errors import ConfigError, NotFound
from promptship.ports import Tree
from promptship.prompts.load import is_prompt_path, load
from promptship.prompts.model import Loaded
from promptship.release.plan import Plan
from promptship.release.together import components
from promptship.settings import Settings
from promptship.settings_file import SETTINGS_FILE, parse_plans, plan_for

_KEY = b"together"


def prompts_in(tree: Tree, settings: Settings) -> list[str]:
    """Paths of the prompts of a tree."""
    return [path for path in tree.files() if is_prompt_path(path, settings.repository.prompts)]


def plans_of(tree: Tree) -> dict[str, Plan] | None:
    """The plans of a tree; None when they cannot be read, which lint will say."""
    try:
        text = tree.read(SETTINGS_FILE).decode("utf-8")
        return parse_plans(text, file=SETTINGS_FILE)
    except NotFound:
        return {}
    except (ConfigError, UnicodeDecodeError):
        return None


def groups_in(tree: Tree, settings: Settings, *, instead: str = "") -> dict[str, frozenset[str]]:
    """The group of every prompt that has one, by the prompts' own names. `instead`: the plan that an environment wants.

    Files and plans that cannot be read name nobody; lint stops their releases.
    """
    named = {
        loaded.prompt.name: plan.together for loaded, plan in planned_in(tree, settings, instead=instead)
    }
    return components(named)


def planned_in(
    tree: Tree, settings: Settings, *, instead: str = "", everybody: bool = False
) -> Iterator[tuple[Loaded, Plan]]:
    """Prompts of a tree that may name others (or `everybody`), with their plans. What has the key nowhere is not read as YAML."""
    plans = plans_of(tree)
    if plans is None:
        return
    everywhere = everybody or _KEY in _settings_text(tree)
    for path in prompts_in(tree, settings):
        content = tree.read(path)
        if everywhere or _KEY in content:
            try:
                loaded = load(path, content)
                yield loaded, plan_for(loaded.prompt, plans, loaded.source, instead=instead)
            except ConfigError:
                continue


def _settings_text(tree: Tree) -> bytes:
    try:
        return tree.read(SETTINGS_FILE)
    except NotFound:
        return b""
