"""What of a configuration is wrong, cannot run here, is ignored, or differs: said before anything is spent."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from promptship.errors import ConfigError, Problem
from promptship.evals.assertions import REGISTRY, AssertionSpec, BuildContext, Dialect, build
from promptship.evals.promptfoo.asserting import KEYS
from promptship.evals.promptfoo.assertion_types import (
    ALL_TYPES,
    BASE_TYPES,
    COMPARING,
    NOT,
    NOT_IGNORED_BY,
    PEOPLE,
    REDTEAM,
    SET,
)  # fmt: skip
from promptship.evals.promptfoo.calling import split_function
from promptship.evals.promptfoo.columns import Column, provider_matches
from promptship.evals.promptfoo.metrics import derived_metrics
from promptship.evals.promptfoo.model import Config, Effect, Note, TestCase
from promptship.evals.promptfoo.paths import has_wildcards
from promptship.evals.promptfoo.places import Places, assertions_of
from promptship.evals.promptfoo.prompts import matches
from promptship.evals.promptfoo.references import FILE, read_text
from promptship.evals.promptfoo.slips import TEST_KEYS, odd_keys
from promptship.evals.promptfoo.template_checks import missing_templates

_SET_KEYS: Final = frozenset({"type", "assert", "weight", "metric", "threshold", "config"})
_NUMBERS: Final = ("threshold", "weight")
_MAY_BE_FILES: Final = ("value", "transform", "contextTransform", "rubricPrompt")
_HONOURED: Final = frozenset(
    {
        "repeat",
        "delay",
        "cache",
        "maxConcurrency",
        "filterRange",
        "filterSample",
        "filterSampleSeed",
        "envPath",
    }
)
"""Of `commandLineOptions`; promptfoo takes no other into account when the file is named on its command line."""
_NEAR_ENOUGH: Final = 0.6
_TRIED_MAX: Final = 2_000
"""So many assertions are made before the run to see whether they can be."""


def check(cases: Sequence[TestCase], columns: Sequence[Column] | None, config: Config) -> tuple[Problem, ...]:
    """What cannot be meant: unknown assertion types, values of the wrong kind, names that nothing has.

    Each assertion is named where it is first used. `columns` None: they cannot be made, so nobody knows the names of providers.
    """
    problems: dict[Problem, None] = {}
    for raw, where, key in assertions_of(cases, config):
        problems.update(dict.fromkeys(_wrong(raw, where, key)))
        problems.update(dict.fromkeys(_missing(raw, where, key, config.base)))
    for case in cases:
        for name in case.providers:
            if columns is not None and not any(provider_matches(name, column) for column in columns):
                known = ", ".join(dict.fromkeys(column.label or column.provider.id for column in columns))
                problems[Problem(case.where, "providers", repr(name), f"expected one of {known}")] = None
        for name in case.prompts:
            if not any(matches(prompt, (name,)) for prompt in config.prompts):
                known = ", ".join(prompt.label[:40] for prompt in config.prompts)
                problems[Problem(case.where, "prompts", repr(name), f"expected one of {known}")] = None
    places = Places(config)
    return tuple(dict.fromkeys(places.problem(problem) for problem in problems))


def report(
    config: Config, cases: Sequence[TestCase], columns: Sequence[Column], env: Mapping[str, str]
) -> tuple[Note, ...]:
    """Everything that somebody who comes from promptfoo has to know before the run, sorted; nothing twice."""
    from promptship.evals.promptfoo.providers import provider_notes

    notes: dict[Note, None] = dict.fromkeys(config.notes)
    for spec in config.providers:
        notes.update(dict.fromkeys(provider_notes(spec)))
        if spec.prompts == ():
            what = f"{spec.label or spec.id} is asked nothing: its list of prompts is empty"
            advice = "remove `prompts: []` to have it asked all of them"
            notes[Note(where=_file(config), effect=Effect.IGNORED, what=what, advice=advice)] = None
    notes.update(dict.fromkeys(_about_file(config, env)))
    context = BuildContext(
        read=lambda name: read_text(config.base / name), dialect=Dialect.PROMPTFOO, root=config.base
    )
    places = Places(config)
    for number, (raw, where, key) in enumerate(assertions_of(cases, config)):
        found = list(_about(raw, where))
        if number < _TRIED_MAX and (why := _unusable(raw, context)):
            what = f"{raw['type']} cannot be used: {why}; its rows have no score"
            found.append(Note(where=where, effect=Effect.UNSUPPORTED, what=what))
        notes.update({replace(note, where=places.shown(where, key)): None for note in found})
    for note in dict.fromkeys(note for case in cases for note in _about_case(case)):
        notes[replace(note, where=places.shown(note.where))] = None
    for where, key, name in missing_templates(cases, columns, config):
        what = f"there is no template {name}; the rows that need it have no score"
        advice = f"names of templates start at {Path.cwd()}, where the command was started"
        notes[Note(where=places.shown(where, key), effect=Effect.UNSUPPORTED, what=what, advice=advice)] = (
            None
        )
    unused = [column for column in columns if not any(_asked(column, case) for case in cases)]
    for column in unused:
        what = f"{column.label or column.provider.id} is asked nothing: no test names it"
        notes[Note(where=_file(config), effect=Effect.IGNORED, what=what)] = None
    return tuple(sorted(notes))


def _about_case(case: TestCase) -> Iterator[Note]:
    """What is silently no part of a test, though it was meant to be."""
    if "assert" in case.vars:
        what = "assert stands inside of vars, so it is a variable and checks nothing"
        advice = "indent it less; a file named as {path: …} is read like a table, so name it alone"
        yield Note(where=case.where, effect=Effect.IGNORED, what=what, advice=advice)
    for name, meant in odd_keys(case.raw, TEST_KEYS):
        what = f"{name} is no key of a test and does nothing"
        yield Note(where=case.where, effect=Effect.IGNORED, what=what, advice=f"did you mean {meant}?")


def _asked(column: Column, case: TestCase) -> bool:
    return not case.providers or any(provider_matches(name, column) for name in case.providers)


def _file(config: Config) -> str:
    return ", ".join(str(path) for path in config.paths) or str(config.base)


def _wrong(raw: Any, where: str, key: str) -> Iterator[Problem]:
    """What is wrong with one assertion."""
    if not isinstance(raw, Mapping):
        yield Problem(where, key, repr(raw)[:60], "expected an assertion: a mapping with a type")
        return
    kind = raw.get("type")
    if not isinstance(kind, str):
        advice = "all keys of an assertion belong under one `-`"
        yield Problem(
            where, f"{key}.type", "missing" if kind is None else repr(kind), "expected a type", advice
        )
        return
    nested = key.count("assert[") > 1
    if (kind not in _KNOWN and not kind.startswith(REDTEAM)) or (kind == SET and nested):
        near = difflib.get_close_matches(kind, ALL_TYPES, n=1, cutoff=_NEAR_ENOUGH)
        expected = "a set inside of a set is not known" if kind == SET else "no such type of assertion"
        yield Problem(
            where,
            f"{key}.type",
            repr(kind),
            expected,
            f"did you mean {near[0]}?" if near and kind != SET else "",
        )
    for name in _NUMBERS:
        value = raw.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            yield Problem(where, f"{key}.{name}", repr(value)[:60], "expected a number")
    weight = raw.get("weight")
    if isinstance(weight, int | float) and not weight >= 0:
        yield Problem(where, f"{key}.weight", repr(weight), "expected 0 or more")
    if raw.get("metric") is not None and not isinstance(raw["metric"], str):
        yield Problem(where, f"{key}.metric", repr(raw["metric"])[:60], "expected text")
    if raw.get("config") is not None and not isinstance(raw["config"], Mapping):
        yield Problem(where, f"{key}.config", repr(raw["config"])[:60], "expected a mapping")
    if kind == SET and not isinstance(raw.get("assert"), list):
        yield Problem(where, f"{key}.assert", repr(raw.get("assert"))[:60], "expected a list of assertions")


_KNOWN: Final = frozenset(ALL_TYPES)


def _missing(raw: Any, where: str, key: str, base: Path) -> Iterator[Problem]:
    """Files that an assertion names and that are not there: every row of it would be paid for nothing."""
    for name in _MAY_BE_FILES if isinstance(raw, Mapping) else ():
        value = raw.get(name)
        for reference in value if isinstance(value, list) else [value]:
            if not isinstance(reference, str) or not reference.startswith(FILE) or "{" in reference:
                continue
            path = split_function(reference)[0]
            if not has_wildcards(path) and not (base / path).exists():
                advice = f"relative paths start at {base}"
                yield Problem(where, f"{key}.{name}", repr(reference), "expected a file that exists", advice)


def _about(raw: Mapping[str, Any], where: str) -> Iterator[Note]:
    """What to know of one assertion."""
    kind = str(raw["type"])
    base = kind.removeprefix(NOT)
    if kind.startswith(NOT) and base in NOT_IGNORED_BY:
        what = f"promptfoo ignores not- before {base}: the assertion means the same without it"
        yield Note(
            where=where, effect=Effect.IGNORED, what=what, advice=f"write {base}, or what is really meant"
        )
    if kind.startswith(REDTEAM):
        what = f"{kind} is graded by promptfoo's own graders; its rows have no score"
        yield Note(
            where=where,
            effect=Effect.UNSUPPORTED,
            what=what,
            advice="use llm-rubric, or promptship's red-team pack",
        )
    elif kind == PEOPLE:
        what = "human verdicts are given in promptfoo's web page; the row has no score (in promptfoo it is an error)"
        yield Note(where=where, effect=Effect.UNSUPPORTED, what=what, advice="remove the assertion")
    elif base in BASE_TYPES and base not in REGISTRY:
        yield Note(
            where=where, effect=Effect.UNSUPPORTED, what=f"{base} cannot run here; its rows have no score"
        )
    if kind == COMPARING[0]:
        what = "select-best asks the judge in both orders: outputs that win once each share the win"
        yield Note(where=where, effect=Effect.DIFFERS, what=what)
    extra = sorted(str(key) for key in raw if key not in (_SET_KEYS if kind == SET else KEYS))
    if extra:
        yield Note(
            where=where,
            effect=Effect.IGNORED,
            what=f"{kind} has no {', '.join(extra)}",
            advice="remove, or correct the name",
        )
    if raw.get("weight") == 0 and raw.get("metric") and kind not in COMPARING:
        what = f"metric {raw['metric']} of an assertion that weighs 0 is always 0"
        yield Note(
            where=where,
            effect=Effect.IGNORED,
            what=what,
            advice="give it a small weight, and a threshold to the test",
        )


def _unusable(raw: Mapping[str, Any], context: BuildContext) -> str:
    """Why an assertion whose value depends on nothing cannot be made; empty: it can, or that shows only in its rows."""
    value = raw.get("value")
    texts = value if isinstance(value, list) else [value]
    fixed = not any(isinstance(text, str) and ("{" in text or text.startswith("file://")) for text in texts)
    kind = str(raw["type"])
    if not fixed or kind.removeprefix(NOT) not in REGISTRY or kind == SET:
        return ""
    try:
        build(
            AssertionSpec.model_validate({name: raw[name] for name in KEYS if raw.get(name) is not None}),
            context,
        )
    except ConfigError as error:
        return "; ".join(f"{one.key} is {one.got}, {one.expected}" for one in error.problems)
    except ValidationError as error:
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    return ""


def _about_file(config: Config, env: Mapping[str, str]) -> Iterator[Note]:
    """What to know of the rest of the file."""
    file = _file(config)
    for name, why in derived_metrics(config.derived_metrics)[1]:
        advice = "arithmetic, comparisons, ? : and the usual functions of numbers are understood"
        yield Note(
            where=f"{file}: derivedMetrics", effect=Effect.UNSUPPORTED, what=f"{name}: {why}", advice=advice
        )
    ignored = sorted(set(config.command_line_options) - _HONOURED)
    if ignored:
        what = f"without effect when the file is named on the command line: {', '.join(ignored)}"
        yield Note(
            where=f"{file}: commandLineOptions",
            effect=Effect.IGNORED,
            what=what,
            advice="give them as options",
        )
    if isinstance(config.default_test.get("provider"), str):
        what = "a provider that is only named does not count in the default test"
        yield Note(
            where=f"{file}: defaultTest.provider",
            effect=Effect.IGNORED,
            what=what,
            advice="write it as {id: …}",
        )
    if config.extensions:
        what = "each call of a hook starts afresh: what a script keeps in its own variables is gone at the next one"
        yield Note(
            where=f"{file}: extensions",
            effect=Effect.DIFFERS,
            what=what,
            advice="keep it in the test's metadata, or in a file",
        )
    if config.evaluate_options.get("generateSuggestions"):
        yield Note(
            where=f"{file}: evaluateOptions", effect=Effect.UNSUPPORTED, what="prompts are not generated"
        )
    if env.get("PROMPTFOO_SHORT_CIRCUIT_TEST_FAILURES"):
        what = "PROMPTFOO_SHORT_CIRCUIT_TEST_FAILURES has no effect: every assertion of a row is asked"
        yield Note(where="environment", effect=Effect.IGNORED, what=what)
