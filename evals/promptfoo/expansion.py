"""From the tests of a configuration to the rows of a run: defaults merged, scenarios crossed, variables multiplied out."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from promptship.errors import ConfigError, Problem
from promptship.evals.promptfoo.calling import script_of
from promptship.evals.promptfoo.filters import Filters, ranged, scenario_seed, selected
from promptship.evals.promptfoo.model import Config, TestCase
from promptship.evals.promptfoo.paths import glob_files
from promptship.evals.services import Language, Script, ScriptFailed, Scripts

_CASES_MAX: Final = 2_000_000
"""More is a slip: ten variables of five values are 9,765,625 rows."""
_MERGED: Final = ("vars", "options", "metadata")


@dataclass(frozen=True, slots=True)
class RawTest:
    """A test as a file holds it."""

    data: Mapping[str, Any]
    where: str
    """File and place, for messages."""


@dataclass(frozen=True, slots=True)
class RawScenario:
    """Partial tests (`config`), each crossed with all of `tests`."""

    config: tuple[Mapping[str, Any], ...]
    tests: tuple[RawTest, ...]
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Everything that says what is tested, read from its files."""

    tests: tuple[RawTest, ...] = ()
    scenarios: tuple[RawScenario, ...] = ()


async def expand(
    config: Config,
    sources: Sources,
    *,
    scripts: Scripts,
    filters: Filters | None = None,
    repeat: int = 1,
    multiply: bool = True,
    variables: Mapping[str, Any] | None = None,
) -> tuple[TestCase, ...]:
    """All cases of a run, in promptfoo's order.

    Args:
        config: for `defaultTest` and `metadata`.
        sources: its tests and scenarios.
        scripts: runs `options.transformVars`.
        filters: what the command line leaves.
        repeat: how often each case is run unless its options say otherwise.
        multiply: whether lists of texts multiply; False is PROMPTFOO_DISABLE_VAR_EXPANSION.
        variables: `--var`, laid over the default test's.

    Raises:
        ConfigError: everything wrong with the tests, at once.
    """
    filters = filters or Filters()
    default = _default(config, variables or {})
    problems: list[Problem] = []
    cases: list[TestCase] = []
    first = 0
    for raw in _effective(config, sources, default, filters):
        try:
            merged = await _merged(raw, default, config.base, scripts)
            combinations = list(_combinations(merged, raw, config.base, multiply=multiply))
        except ConfigError as error:
            problems.extend(error.problems)
            continue
        if filters.earlier is not None:
            said = merged.get("description")
            combinations = [values for values in combinations if filters.earlier.has(values, said)]
        repeats = _repeats(merged.get("options"), repeat)
        if merged.get("prompts") != [] and merged.get("providers") != []:
            start = len(cases)
            cases.extend(
                _case(
                    merged,
                    values,
                    raw,
                    config.base,
                    start + number,
                    first + number,
                    len(combinations),
                    repeats,
                )
                for number, values in enumerate(combinations)
            )
        first += repeats * len(combinations)
        if len(cases) > _CASES_MAX:
            problems.append(
                Problem(raw.where, "vars", f"over {_CASES_MAX:,} rows", "expected fewer combinations")
            )
            break
    if problems:
        raise ConfigError(dict.fromkeys(problems))
    return tuple(cases)


def _default(config: Config, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The default test; metadata of the whole configuration stands in for its own."""
    default: dict[str, Any] = {"metadata": config.raw.get("metadata") or {}, **config.default_test}
    default["vars"] = {**(default.get("vars") or {}), **variables}
    return default


def _effective(
    config: Config, sources: Sources, default: Mapping[str, Any], filters: Filters
) -> Iterator[RawTest]:
    """Tests, then scenarios; one empty test when there is neither."""
    given = sources.tests
    place = str(config.paths[0]) if config.paths else str(config.base)
    if not given and not sources.scenarios:
        given = (RawTest({}, place),)
        if filters != Filters() and default["metadata"]:
            given = (RawTest({"metadata": default["metadata"]}, place),)
    late_range = filters.range if sources.scenarios else None
    tests = selected(given, replace(filters, range=None if sources.scenarios else filters.range), _data)
    for number, scenario in enumerate(sources.scenarios):
        tests.extend(_scenario(scenario, number, sources, default, filters))
    yield from ranged(tests, late_range)


def _data(test: RawTest) -> Mapping[str, Any]:
    return test.data


def _scenario(
    scenario: RawScenario, number: int, sources: Sources, default: Mapping[str, Any], filters: Filters
) -> Iterator[RawTest]:
    """A scenario's own tests are filtered by pattern, first n and sample only, as promptfoo does."""
    own = Filters(
        pattern=filters.pattern, first_n=filters.first_n, sample=filters.sample,
        sample_seed=scenario_seed(filters.sample_seed, number),
    )  # fmt: skip
    tests = selected(scenario.tests, own, _data)
    before = sum(len(other.config) for other in sources.scenarios[:number])
    for place, data in enumerate(scenario.config):
        for test in tests:
            crossed = _crossed(default, data, test.data, before + place)
            yield RawTest(crossed, f"{scenario.where}, {test.where}")


def _crossed(
    default: Mapping[str, Any], data: Mapping[str, Any], test: Mapping[str, Any], number: int
) -> dict[str, Any]:
    crossed = {**default, **data, **test}
    for key in _MERGED:
        crossed[key] = {**(default.get(key) or {}), **(data.get(key) or {}), **(test.get(key) or {})}
    if test.get("provider") is None and not isinstance(crossed.get("provider"), Mapping):
        crossed.pop("provider", None)
    crossed["assert"] = [*(data.get("assert") or ()), *(test.get("assert") or ())]
    if crossed["metadata"].get("conversationId") is None:
        crossed["metadata"]["conversationId"] = f"__scenario_{number}__"
    return crossed


async def _merged(raw: RawTest, default: Mapping[str, Any], base: Path, scripts: Scripts) -> dict[str, Any]:
    """A test with what the default test adds."""
    test = dict(raw.data)
    own = test.get("options") or {}
    test["vars"] = {**default["vars"], **(test.get("vars") or {})}
    code = own.get("transformVars") or (default.get("options") or {}).get("transformVars")
    if code:
        test["vars"] |= await _transformed(str(code), test["vars"], raw, base, scripts)
    inherited = () if own.get("disableDefaultAsserts") is True else default.get("assert") or ()
    test["assert"] = [*inherited, *(test.get("assert") or ())]
    test["options"] = {**(default.get("options") or {}), **own}
    test["metadata"] = {**(default.get("metadata") or {}), **(test.get("metadata") or {})}
    for key in ("threshold", "prompts", "providers", "provider", "assertScoringFunction"):
        # The default test's provider counts only when it is more than a name: so it is in promptfoo.
        if test.get(key) is None and (key != "provider" or isinstance(default.get(key), Mapping)):
            test[key] = default.get(key)
    return {key: value for key, value in test.items() if value is not None}


async def _transformed(
    code: str, variables: Mapping[str, Any], raw: RawTest, base: Path, scripts: Scripts
) -> Mapping[str, Any]:
    context = {"prompt": {}, "uuid": str(uuid.uuid4())}
    if code.startswith("file://"):
        script = script_of(code, base, (dict(variables), context), python="get_transform")
    else:
        names = {"vars": dict(variables), "context": context}
        script = Script(language=Language.JAVASCRIPT, code=code, names=names, root=base)
    key = "options.transformVars"
    try:
        made = await scripts.run(script)
    except ScriptFailed as error:
        raise ConfigError([Problem(raw.where, key, "a script that failed", str(error))]) from None
    if not isinstance(made, Mapping):
        got = f"a script that gave {type(made).__name__}"
        raise ConfigError([Problem(raw.where, key, got, "expected an object of variables")])
    return made


def _combinations(
    test: Mapping[str, Any], raw: RawTest, base: Path, *, multiply: bool
) -> Iterator[dict[str, Any]]:
    """Every choice of one value per variable; the first variable changes slowest."""
    variables: Mapping[str, Any] = test["vars"]
    if not multiply or test["options"].get("disableVarExpansion"):
        yield dict(variables)
        return
    choices = [_choices(name, value, raw, base) for name, value in variables.items()]
    rows = 1
    for choice in choices:
        rows *= len(choice)
    if rows > _CASES_MAX:
        raise ConfigError([Problem(raw.where, "vars", f"{rows:,} rows", "expected fewer combinations")])
    for values in itertools.product(*choices):
        yield dict(zip(variables, values, strict=True))


def _choices(name: str, value: Any, raw: RawTest, base: Path) -> Sequence[Any]:
    """A list whose first element is text stands for its elements; a path with wildcards for the files it finds."""
    if isinstance(value, str) and value.startswith("file://"):
        found = files(value.removeprefix("file://"), base)
        if not found:
            advice = f"relative paths start at {base}"
            raise ConfigError(
                [Problem(raw.where, f"vars.{name}", repr(value), "expected a file that exists", advice)]
            )
        return [f"file://{path}" for path in found]
    if isinstance(value, list) and value and isinstance(value[0], str):
        return value
    return [value]


def files(pattern: str, base: Path) -> list[str]:
    """Files that a path with wildcards finds, in promptfoo's order; relative to `base` unless the pattern is absolute."""
    found = glob_files(pattern, base)
    if Path(pattern).is_absolute():
        return [str(path) for path in found]
    return [os.path.relpath(path, base) for path in found]


def _repeats(options: Any, default: int) -> int:
    own = options.get("repeat") if isinstance(options, Mapping) else None
    return own if isinstance(own, int) and not isinstance(own, bool) and own > 0 else default


def _case(
    test: Mapping[str, Any],
    variables: dict[str, Any],
    raw: RawTest,
    base: Path,
    index: int,
    first: int,
    step: int,
    repeat: int,
) -> TestCase:
    options = test["options"]
    return TestCase(
        index=index, first=first, step=step, where=raw.where, description=str(test.get("description") or ""), vars=variables,
        provider=test.get("provider"), providers=tuple(test.get("providers") or ()), prompts=tuple(test.get("prompts") or ()),
        provider_output=test.get("providerOutput"), asserts=tuple(test["assert"]),
        scoring_function=test.get("assertScoringFunction"), threshold=test.get("threshold"), metadata=test["metadata"],
        options=options, repeat=repeat, base=base, raw={**test, "vars": variables},
    )  # fmt: skip
