"""`nunjucksFilters`: filters of the user's own, written in JavaScript."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from promptship.errors import ConfigError, Problem
from promptship.evals.promptfoo.calling import is_script, script_of
from promptship.evals.promptfoo.nunjucks import TemplateError
from promptship.evals.promptfoo.paths import glob_files
from promptship.evals.promptfoo.references import FILE
from promptship.evals.services import Script, ScriptFailed, Scripts


def load_filters(
    filters: Mapping[str, str], *, base: Path, scripts: Scripts
) -> Mapping[str, Callable[..., Awaitable[Any]]]:
    """Filters by name, for `Nunjucks(awaited=...)`.

    A file that is missing makes no filter, as in promptfoo: only a template that uses it fails.

    Raises:
        ConfigError: every file that cannot be read.
    """
    found: dict[str, Callable[..., Awaitable[Any]]] = {}
    problems: list[Problem] = []
    for name, pattern in filters.items():
        path = filter_file(pattern, base)
        if path is None:
            continue
        try:
            found[name] = _filter(name, script_of(str(path), base, (), python=name), scripts)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return found


def filter_file(pattern: str, base: Path) -> Path | None:
    """The script of a filter; of a path with wildcards the last one. None: there is none."""
    paths = [path for path in glob_files(pattern.removeprefix(FILE), base) if is_script(str(path))]
    return paths[-1] if paths else None


def _filter(name: str, script: Script, scripts: Scripts) -> Callable[..., Awaitable[Any]]:
    async def filtered(*arguments: Any) -> Any:
        call = Script(
            language=script.language, code=script.code, path=script.path, function=script.function, arguments=arguments,
            root=script.root,
        )  # fmt: skip
        try:
            return await scripts.run(call)
        except ScriptFailed as error:
            raise TemplateError(f"filter {name} failed: {error}") from None

    return filtered
