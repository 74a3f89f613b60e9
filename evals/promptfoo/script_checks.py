"""The scripts of a configuration, looked at before anything is spent: what cannot work would cost every row that needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from promptship.errors import ConfigError, Problem
from promptship.evals.assertions import BuildContext, Dialect
from promptship.evals.assertions.script import SCRIPTS, source_of
from promptship.evals.assertions.script_source import Source, file_source, transform_source
from promptship.evals.promptfoo.assertion_types import NOT
from promptship.evals.promptfoo.calling import is_script, script_of
from promptship.evals.promptfoo.columns import Column
from promptship.evals.promptfoo.model import Config, Effect, Note, TestCase
from promptship.evals.promptfoo.own_filters import filter_file
from promptship.evals.promptfoo.places import Places, assertions_of
from promptship.evals.promptfoo.references import FILE, read_text
from promptship.evals.services import Fault, Language, Script, Scripts

_LOOKED_AT_MAX: Final = 2_000
"""So many different scripts: a generated suite may have one per row."""
_TEMPLATE: Final = ("{{", "{%", "{#")
_TRANSFORMS: Final = ("transform", "contextTransform")


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """A script, and where it is used."""

    script: Script
    where: str
    key: str


async def script_faults(
    config: Config, cases: Sequence[TestCase], columns: Sequence[Column], scripts: Scripts
) -> tuple[tuple[Problem, ...], tuple[Note, ...]]:
    """Mistakes in scripts, and what they need that is not here. What is a template is known in its rows only."""
    used = _different(_all(config, cases, columns))
    faults = await asyncio.gather(*(scripts.fault(one.script) for one in used))
    places = Places(config)
    problems: list[Problem] = []
    notes: list[Note] = []
    for one, fault in zip(used, faults, strict=True):
        if fault is None:
            continue
        if fault.wrong:
            problems.append(_problem(one, fault, places))
            continue
        name = "it" if one.script.path is None else one.script.path.name
        what = f"{name} {fault.what}; the rows that need it have no score"
        advice = (
            "scripts run in an engine of their own, without Node.js and network: do that work in a provider"
        )
        shown = places.shown(one.where, one.key)
        notes.append(Note(where=shown, effect=Effect.UNSUPPORTED, what=what, advice=advice))
    return tuple(problems), tuple(notes)


def _problem(one: Used, fault: Fault, places: Places) -> Problem:
    language = {Language.JAVASCRIPT: "JavaScript", Language.PYTHON: "Python", Language.RUBY: "Ruby"}
    expected = f"expected {language[one.script.language]} that can be read"
    if one.script.path is not None:
        advice = f"used by {places.shown(one.where, one.key)}"
        return Problem(str(one.script.path), "", fault.what, expected, advice, line=fault.line)
    where = f" (line {fault.line} of it)" if fault.line else ""
    return places.problem(Problem(one.where, one.key, f"{fault.what}{where}", expected))


def _different(used: Iterator[Used]) -> list[Used]:
    """Each script once, where it is first used."""
    found: dict[tuple[Any, ...], Used] = {}
    for one in used:
        script = one.script
        found.setdefault(
            (script.language, script.code, script.path, script.function, tuple(script.names)), one
        )
        if len(found) >= _LOOKED_AT_MAX:
            break
    return list(found.values())


def _all(config: Config, cases: Sequence[TestCase], columns: Sequence[Column]) -> Iterator[Used]:
    context = BuildContext(
        read=lambda name: read_text(config.base / name), dialect=Dialect.PROMPTFOO, root=config.base
    )
    file = str(config.paths[0]) if config.paths else str(config.base)
    for raw, where, key in assertions_of(cases, config):
        if isinstance(raw, Mapping):
            yield from _of_assertion(raw, where, key, context)
    for case in cases:
        for name in ("transform", "postprocess"):
            yield from _transform(case.options.get(name), case.where, f"options.{name}", context)
        yield from _file(case.scoring_function, config, case.where, "assertScoringFunction")
    for column in columns:
        key = f"providers[{column.label or column.configured}].transform"
        yield from _transform(column.transform, file, key, context)
        prompt = column.prompt
        if (
            prompt.path is not None
            and not prompt.command
            and (prompt.function or prompt.path.suffix != ".py")
        ):
            yield from _file(f"{prompt.path}:{prompt.function}".rstrip(":"), config, file, "prompts")
    for name, pattern in config.nunjucks_filters.items():
        path = filter_file(pattern, config.base)
        yield from _file(None if path is None else str(path), config, file, f"nunjucksFilters.{name}")


def _of_assertion(raw: Mapping[str, Any], where: str, key: str, context: BuildContext) -> Iterator[Used]:
    kind, value = str(raw.get("type")).removeprefix(NOT), raw.get("value")
    if isinstance(value, str) and value.strip() and not _is_template(value):
        try:
            source = _source(kind, value, context)
        except ConfigError:
            source = None  # the file is not there, or is none of this language: that is said elsewhere
        if source is not None:
            yield Used(script=source.call("", {}), where=where, key=f"{key}.value")
    for name in _TRANSFORMS:
        yield from _transform(raw.get(name), where, f"{key}.{name}", context)


def _source(kind: str, value: str, context: BuildContext) -> Source | None:
    if kind in SCRIPTS:
        return source_of(value, Language(kind), context)
    if value.startswith(FILE) and is_script(value):
        return file_source(value, context.read, context.root, "get_assert")
    return None


def _transform(code: Any, where: str, key: str, context: BuildContext) -> Iterator[Used]:
    if not isinstance(code, str) or not code.strip():
        return
    try:
        source = transform_source(code, context.read, context.root)
    except ConfigError:
        return
    yield Used(script=source.call("", {}), where=where, key=key)


def _file(reference: str | None, config: Config, where: str, key: str) -> Iterator[Used]:
    if not reference or not is_script(reference):
        return
    try:
        script = script_of(reference, config.base, (None,), python="")
    except ConfigError:
        return
    yield Used(script=script, where=where, key=key)


def _is_template(text: str) -> bool:
    return any(start in text for start in _TEMPLATE)
