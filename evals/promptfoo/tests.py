"""Where tests come from: written out, files of all kinds, tables, generators."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from promptship.errors import ConfigError, Problem
from promptship.evals.promptfoo.calling import is_script, script_of, split_function
from promptship.evals.promptfoo.csv_tests import row_test, table_tests
from promptship.evals.promptfoo.dereferencing import dereferenced
from promptship.evals.promptfoo.environment import is_on
from promptship.evals.promptfoo.expansion import RawScenario, RawTest, Sources, files
from promptship.evals.promptfoo.model import Config, Effect, Note
from promptship.evals.promptfoo.references import (
    date_notes,
    load_nested,
    load_value,
    read_json,
    read_text,
    without_dates,
)
from promptship.evals.promptfoo.tables import read_csv, read_xlsx
from promptship.evals.promptfoo.yaml_text import read_document
from promptship.evals.services import ScriptFailed, Scripts

_REMOTE: Final = {
    "https://docs.google.com/spreadsheets/": "Google Sheets",
    "huggingface://": "Hugging Face",
    "az://": "Azure Blob Storage",
}
_SHAREPOINT: Final = re.compile(r"https://[^/]+\.sharepoint\.com/", re.IGNORECASE)
_TABLES: Final = frozenset({".csv", ".xlsx", ".xls"})
_YAML: Final = frozenset({".yaml", ".yml"})
_SUITES: Final = frozenset({".yaml", ".yml", ".json", ".jsonl"})
_NEEDED: Final = ("assert", "vars", "options", "metadata", "provider", "providerOutput", "threshold")


@dataclass(slots=True)
class _Reading:
    """What is found, and everything that is wrong."""

    config: Config
    scripts: Scripts
    env: Mapping[str, str]
    tests: list[RawTest] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def left_out(self, where: str, what: str, advice: str) -> None:
        self.notes.append(Note(where=where, effect=Effect.UNSUPPORTED, what=what, advice=advice))


async def load_sources(
    config: Config, *, scripts: Scripts, env: Mapping[str, str]
) -> tuple[Sources, tuple[Note, ...]]:
    """Tests and scenarios of a configuration, and what of them cannot be had here.

    Raises:
        ConfigError: every missing file, broken line, wrong column and test that is none, at once.
    """
    reading = _Reading(config, scripts, env)
    bare = isinstance(config.raw.get("tests"), str)
    place = str(config.paths[0]) if config.paths else str(config.base)
    for number, (base, entry) in enumerate(config.tests):
        await _entry(entry, base, f"{place}: tests[{number}]", reading, bare=bare)
    tests, reading.tests = tuple(reading.tests), []
    scenarios = [
        scenario
        for number, (base, entry) in enumerate(config.scenarios)
        for scenario in await _scenarios(entry, base, f"{place}: scenarios[{number}]", reading)
    ]
    if reading.problems:
        raise ConfigError(dict.fromkeys(reading.problems))
    return Sources(tests=tests, scenarios=tuple(scenarios)), tuple(reading.notes)


async def _entry(entry: Any, base: Path, where: str, reading: _Reading, *, bare: bool = False) -> None:
    try:
        if isinstance(entry, str):
            await _source(entry, base, where, reading, named=bare)
        elif isinstance(entry, Mapping) and isinstance(entry.get("path"), str):
            await _source(
                entry["path"], base, where, reading, config=entry.get("config"), rows=True, named=True
            )
        else:
            reading.tests.append(_test(entry, base, where))
    except ConfigError as error:
        reading.problems.extend(error.problems)


async def _source(
    source: str,
    base: Path,
    where: str,
    reading: _Reading,
    *,
    config: Any = None,
    rows: bool = False,
    named: bool = False,
) -> None:
    """Tests of one path, generator or address. `rows`: a YAML file is read like a table. `named`: tests get a description."""
    service = _remote(source)
    if service:
        advice = "save it as a CSV file and name that"
        reading.left_out(
            where, f"tests from {service} are not fetched: {source.split('?', maxsplit=1)[0][:80]}", advice
        )
        return
    path, _ = split_function(source)
    if is_script(path):
        found = await _generated(source, base, config, where, reading)
        reading.tests.extend(_test(test, base, f"{where} ({path})[{at}]") for at, test in enumerate(found))
        return
    pattern, _, sheet = source.removeprefix("file://").partition("#") if ".xls" in source else (path, "", "")
    names = files(pattern, base)
    if not names:
        expected = f"expected a file that exists, relative to {base}"
        raise ConfigError(
            [Problem(where, "", f"no file {pattern}", expected, "check the path and the wildcards")]
        )
    for name in names:
        try:
            reading.tests.extend(_file(base / name, sheet, where, reading, rows=rows, named=named))
        except ConfigError as error:
            reading.problems.extend(error.problems)


def _remote(source: str) -> str:
    if _SHAREPOINT.match(source):
        return "SharePoint"
    known = next((name for start, name in _REMOTE.items() if source.startswith(start)), "")
    return known or ("the web" if source.startswith(("http://", "https://")) else "")


async def _generated(source: str, base: Path, config: Any, where: str, reading: _Reading) -> Sequence[Any]:
    """Tests that a function makes; it gets `config` when there is one."""
    config = load_nested(config, base, env=reading.env)
    arguments = () if config is None else (config,)
    try:
        made = await reading.scripts.run(script_of(source, base, arguments, python="generate_tests"))
    except ScriptFailed as error:
        raise ConfigError([Problem(where, source, "a generator that failed", str(error))]) from None
    if not isinstance(made, list):
        raise ConfigError(
            [
                Problem(
                    where, source, f"a generator that gave {type(made).__name__}", "expected a list of tests"
                )
            ]
        )
    return made


def _file(path: Path, sheet: str, where: str, reading: _Reading, *, rows: bool, named: bool) -> list[RawTest]:
    """Tests of one file."""
    kind, name = path.suffix.lower(), str(path)
    if kind in _TABLES:
        env = reading.env
        if kind == ".csv":
            strict = is_on(env, "PROMPTFOO_CSV_STRICT")
            table = read_csv(
                read_text(path), name, delimiter=env.get("PROMPTFOO_CSV_DELIMITER") or ",", strict=strict
            )
        else:
            table = read_xlsx(path, sheet, name)
        tests, odd = table_tests(table, name)
        reading.notes += [Note(where=name, effect=Effect.IGNORED, what=what) for what in odd]
        lines = [row.line for row in table]
        return [RawTest(test, f"{name}:{line}") for test, line in zip(tests, lines, strict=True)]
    if kind not in _SUITES:
        expected = f"expected a file that ends in {', '.join(sorted(_SUITES | _TABLES))}, .py or .js"
        raise ConfigError([Problem(where, "", f"tests in {path.name}", expected)])
    items = _listed(_data(path, reading, strict=not named))
    if rows and kind in _YAML:
        return [
            RawTest(row_test(_mapping(item, name, at), at + 1, name), f"{name}[{at}]")
            for at, item in enumerate(items)
        ]
    found: list[RawTest] = []
    for at, item in enumerate(items):
        test = _test(item, path.parent, f"{name}[{at}]")
        if named and kind not in _YAML and not test.data.get("description"):
            test = RawTest({**test.data, "description": f"Row #{at + 1}"}, test.where)
        found.append(test)
    return found


def _data(path: Path, reading: _Reading, *, strict: bool) -> Any:
    """What a file of tests holds, with `file://` and `$ref` in it followed. `strict`: JSON may not be YAML."""
    if path.suffix.lower() == ".jsonl":
        data: Any = _json_lines(path)
    elif path.suffix.lower() == ".json" and strict:
        data = read_json(read_text(path), str(path))
    else:
        document = read_document(str(path), read_text(path))
        reading.notes += date_notes(document.data, document)
        data = without_dates(document.data)
    base = reading.config.base
    return dereferenced(load_nested(data, base, env=reading.env), path, base)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _json_lines(path: Path) -> list[Any]:
    items: list[Any] = []
    problems: list[Problem] = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            items.append(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            problems.append(
                Problem(str(path), "", f"broken JSON ({error})", "expected one test per line", line=number)
            )
    if problems:
        raise ConfigError(problems)
    return items


def _mapping(item: Any, file: str, at: int) -> Mapping[str, Any]:
    if isinstance(item, Mapping):
        return item
    raise ConfigError([Problem(file, f"[{at}]", repr(item)[:60], "expected a test: a mapping")])


def _test(entry: Any, base: Path, where: str) -> RawTest:
    """A test as it was written; `vars` may stand in files of their own."""
    if isinstance(entry, str) and entry.startswith("file://"):
        entry = load_value(entry, base)
    if not isinstance(entry, Mapping):
        raise ConfigError(
            [Problem(where, "", repr(entry)[:60], "expected a test: a mapping, or a path to tests")]
        )
    test = dict(entry)
    variables = test.get("vars")
    if isinstance(variables, str) or (isinstance(variables, list) and variables):
        test["vars"] = _vars_of(variables, base, where)
    if not any(test.get(key) is not None for key in _NEEDED):
        got = f"only {', '.join(map(str, test)) or 'nothing'}"
        raise ConfigError([Problem(where, "", got, f"expected a test with one of {', '.join(_NEEDED)}")])
    problems = [
        Problem(where, key, type(test[key]).__name__, f"expected {_A[kind]}")
        for key, kind in _KINDS.items()
        if test.get(key) is not None and (not isinstance(test[key], kind) or isinstance(test[key], bool))
    ]
    if problems:
        raise ConfigError(problems)
    return RawTest(test, where)


_A: Final[Mapping[Any, str]] = {dict: "a mapping", list: "a list", (int, float): "a number"}
_KINDS: Final[Mapping[str, Any]] = {
    "vars": dict, "options": dict, "metadata": dict, "assert": list, "prompts": list, "providers": list, "threshold": (int, float),
}  # fmt: skip


def _vars_of(paths: str | Sequence[Any], base: Path, where: str) -> dict[str, Any]:
    """Variables of one or several YAML files; later ones win."""
    merged: dict[str, Any] = {}
    for pattern in [paths] if isinstance(paths, str) else paths:
        names = files(str(pattern).removeprefix("file://"), base)
        if not names:
            raise ConfigError(
                [Problem(where, "vars", repr(pattern), f"expected a file that exists, relative to {base}")]
            )
        for name in names:
            document = read_document(str(base / name), read_text(base / name))
            merged |= _mapping(without_dates(document.data), str(base / name), 0)
    return merged


async def _scenarios(entry: Any, base: Path, where: str, reading: _Reading) -> list[RawScenario]:
    """The scenarios of one entry: written out, or in a file that holds one or many."""
    try:
        loaded = _listed(load_value(entry, base) if isinstance(entry, str) else entry)
        return [await _scenario(one, base, where, reading) for one in loaded]
    except ConfigError as error:
        reading.problems.extend(error.problems)
        return []


async def _scenario(entry: Any, base: Path, where: str, reading: _Reading) -> RawScenario:
    scenario = _mapping(entry, where, 0)
    parts = {key: scenario.get(key) for key in ("config", "tests")}
    for key, value in parts.items():
        if (
            isinstance(value, str)
            and value.startswith("file://")
            and not (key == "tests" and is_script(value))
        ):
            parts[key] = load_value(value, base)
    config = _listed(parts["config"])
    if not config:
        raise ConfigError(
            [Problem(where, "config", "missing", "expected a list of what the tests are crossed with")]
        )
    before, reading.tests = reading.tests, []
    tests = [{}] if parts["tests"] is None else _listed(parts["tests"])
    for number, test in enumerate(tests):
        if test:
            await _entry(test, base, f"{where}.tests[{number}]", reading)
        else:
            reading.tests.append(RawTest({}, f"{where}.tests[{number}]"))
    found, reading.tests = tuple(reading.tests), before
    partial = tuple(_mapping(item, f"{where}.config", at) for at, item in enumerate(config))
    return RawScenario(partial, found, where)
