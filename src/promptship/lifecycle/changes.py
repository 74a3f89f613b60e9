"""Which prompts a push is about: their files changed, or the suites or the plan they are judged by. Only Git is believed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from promptship.errors import ConfigError, NotFound
from promptship.lifecycle.declared import plans_of, prompts_in
from promptship.lifecycle.lint import SUITE_SUFFIXES
from promptship.ports import Repository, Tree
from promptship.prompts.load import default_name, is_prompt_path, load
from promptship.prompts.model import Loaded
from promptship.release.plan import Plan
from promptship.settings import Settings
from promptship.settings_file import SETTINGS_FILE, plan_for

ZEROS: Final = "0"
"""Of nothing but these is the id of a commit that is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What lies between two commits, for the prompts of the newer one."""

    prompts: tuple[str, ...] = ()
    """Paths of prompts whose files were added or changed."""
    judged_anew: tuple[str, ...] = ()
    """Paths of other prompts whose suites or plan changed."""
    removed: tuple[str, ...] = ()
    """Names of prompts that are not there any more."""


def what_changed(
    repository: Repository, settings: Settings, before: str, after: str, *, plan: str = ""
) -> Changed:
    """Compare two commits. `plan`: the one that the environment uses instead of the prompts' own.

    `before` all zeros, or unknown here (it was pushed away before anybody fetched it): nobody can say what changed, so every
    prompt may be judged anew.

    Raises:
        NotFound: `after` is not known.
    """
    tree = repository.tree(after)
    paths = prompts_in(tree, settings)
    if not is_known(repository, before):
        return Changed(judged_anew=tuple(paths))
    changed = repository.changed(before, after)
    gone = repository.removed(before, after)
    prompts = [path for path in paths if path in set(changed)]
    others = [path for path in paths if path not in set(prompts)]
    old = repository.tree(before)
    return Changed(
        prompts=tuple(prompts),
        judged_anew=tuple(_judged_anew(old, tree, settings, others, {*changed, *gone}, plan)),
        removed=tuple(_removed(old, tree, settings, gone, prompts)),
    )


def is_known(repository: Repository, commit: str) -> bool:
    """Whether there is such a commit here."""
    if not commit.strip(ZEROS):
        return False
    try:
        repository.resolve(commit)
    except NotFound:
        return False
    return True


def _judged_anew(
    old: Tree, new: Tree, settings: Settings, paths: Sequence[str], touched: Collection[str], instead: str
) -> list[str]:
    """Of these prompts, those whose suites or plan changed."""
    directory = PurePosixPath(settings.repository.suites)
    suites = {path for path in touched if PurePosixPath(path).is_relative_to(directory)}
    if not suites and SETTINGS_FILE not in touched:
        return []
    plans = plans_of(new)
    before = plans_of(old) if SETTINGS_FILE in touched else plans
    if plans is None:
        return []  # whatever is pushed next to mend the plans, changes them
    loaded = dict(_loaded(new, paths))
    now = {path: _plan(one, plans, instead) for path, one in loaded.items()}
    used = {
        path: frozenset(plan.regression.suites or (loaded[path].prompt.name,))
        for path, plan in now.items()
        if plan is not None
    }
    stems = {str(PurePosixPath(path).relative_to(directory).with_suffix("")): path for path in suites}
    shared = _is_shared(new, directory, suites, frozenset().union(*used.values()))
    return [
        path
        for path, names in used.items()
        if shared
        or names & stems.keys()
        or (before is not plans and _plan(loaded[path], before, instead) != now[path])
    ]


def _is_shared(tree: Tree, directory: PurePosixPath, touched: Iterable[str], used: frozenset[str]) -> bool:
    """Whether something changed that suites may share: a script, or a file with data that one of them names."""
    texts: list[bytes] | None = None
    for path in map(PurePosixPath, touched):
        if path.suffix not in SUITE_SUFFIXES:
            return True  # code beside the suites may be imported by any of them
        if str(path.relative_to(directory).with_suffix("")) in used:
            continue
        if texts is None:
            texts = [tree.read(one) for one in tree.files() if _is_suite(one, directory, used)]
        if any(path.name.encode() in text for text in texts):
            return True
    return False


def _is_suite(path: str, directory: PurePosixPath, used: frozenset[str]) -> bool:
    file = PurePosixPath(path)
    if not file.is_relative_to(directory) or file.suffix not in SUITE_SUFFIXES:
        return False
    return str(file.relative_to(directory).with_suffix("")) in used


def _loaded(tree: Tree, paths: Iterable[str]) -> Iterable[tuple[str, Loaded]]:
    """The prompts that can be read; a broken one has been rejected under its own name."""
    for path in paths:
        with suppress(ConfigError):
            yield path, load(path, tree.read(path))


def _plan(loaded: Loaded, plans: dict[str, Plan] | None, instead: str) -> Plan | None:
    try:
        return None if plans is None else plan_for(loaded.prompt, plans, loaded.source, instead=instead)
    except ConfigError:
        return None


def _removed(
    old: Tree, new: Tree, settings: Settings, gone: Iterable[str], changed: Iterable[str]
) -> list[str]:
    """Names whose files are gone, unless a file that changed has taken the name over: then it was moved."""
    paths = [path for path in gone if is_prompt_path(path, settings.repository.prompts)]
    if not paths:
        return []
    moved = {name_of(new.read(path), path) for path in changed}
    return sorted({name_of(old.read(path), path) for path in paths} - moved)


def name_of(content: bytes, path: str) -> str:
    """The prompt's name, even when its file is broken: a broken push must still show up under its name."""
    try:
        return load(path, content).prompt.name
    except ConfigError:
        return default_name(path)
