"""Reads promptfoo configurations from disk: found, parsed, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from promptship.errors import ConfigError, Problem
from promptship.evals.document import Document
from promptship.evals.promptfoo import javascript_text, merging
from promptship.evals.promptfoo.dereferencing import dereferenced
from promptship.evals.promptfoo.environment import env_paths, is_on, render_env, visible_env, with_env_files
from promptship.evals.promptfoo.merging import Part
from promptship.evals.promptfoo.model import Config, Effect, Note, PromptSpec, ProviderSpec
from promptship.evals.promptfoo.own_filters import filter_file
from promptship.evals.promptfoo.paths import glob_files
from promptship.evals.promptfoo.prompts import load_prompts
from promptship.evals.promptfoo.providers_file import provider_specs
from promptship.evals.promptfoo.references import FILE, date_notes, load_value
from promptship.evals.promptfoo.validation import assertion_problems, option_problems, shown, warnings, whole
from promptship.evals.promptfoo.yaml_text import read_document
from promptship.evals.services import Language, Script, ScriptFailed, Scripts

NAME: Final = "promptfooconfig"
EXTENSIONS: Final = ("yaml", "yml", "json", "cjs", "cts", "js", "mjs", "mts", "ts")
"""Of the file that is found without being named, in this order."""
_DATA: Final = frozenset({".yaml", ".yml", ".json"})
_JAVASCRIPT: Final = frozenset({".js", ".cjs", ".mjs"})
_TYPESCRIPT: Final = frozenset({".ts", ".cts", ".mts"})
_EXPORTED: Final = "const found = require(file)\nreturn found?.default?.default ?? found?.default ?? found"
"""What a file of JavaScript exports, however it does so."""
_WHOLE: Final = ("maxConcurrency", "repeat", "delay", "filterFirstN", "filterSample", "filterSampleSeed")


def load_config(
    paths: Sequence[Path],
    *,
    directory: Path,
    env: Mapping[str, str],
    evaluated: Mapping[Path, Any] | None = None,
) -> Config:
    """One configuration made of all files.

    Args:
        paths: files, also with wildcards; none: `promptfooconfig.*` of the directory.
        directory: where the command runs: relative paths and `.env` are there.
        env: variables of the process.
        evaluated: what files in JavaScript export; see `load`.

    Raises:
        ConfigError: everything that promptfoo would stop at, with file, key and line. What it only warns about is a note.
    """
    return _Loading(directory.resolve(), env, evaluated or {}).config(paths)


async def load(
    paths: Sequence[Path], *, directory: Path, env: Mapping[str, str], scripts: Scripts | None = None
) -> Config:
    """The same; configurations in JavaScript are run first. Raises ConfigError."""
    evaluated: dict[Path, Any] = {}
    for path in await asyncio.to_thread(lambda: find(paths, directory.resolve())):
        if path.suffix in _JAVASCRIPT and scripts is not None:
            names = {"file": f"./{path.name}"}
            script = Script(language=Language.JAVASCRIPT, code=_EXPORTED, names=names, root=path.parent)
            try:
                evaluated[path] = await scripts.run(script)
            except ScriptFailed as error:
                problem = Problem(
                    str(path), "", f"a script that failed: {error}", "expected it to export a configuration"
                )
                raise ConfigError([problem]) from None
    return load_config(paths, directory=directory, env=env, evaluated=evaluated)


def find(paths: Sequence[Path], directory: Path) -> list[Path]:
    """The files that are meant, absolute. Raises ConfigError: there is none."""
    if not paths:
        for extension in EXTENSIONS:
            path = directory / f"{NAME}.{extension}"
            if path.is_file():
                return [path]
        expected = f"expected {NAME}.{{{','.join(EXTENSIONS)}}}"
        raise ConfigError([Problem(str(directory), "", "no configuration", expected, "name it with -c")])
    found: list[Path] = []
    problems: list[Problem] = []
    for path in paths:
        files = glob_files(str(path), directory)
        if not files:
            problems.append(Problem(str(path), "", "no such file", "expected a configuration"))
        found += files
    if problems:
        raise ConfigError(problems)
    return found


@dataclass(slots=True)
class _Loading:
    directory: Path
    process: Mapping[str, str]
    evaluated: Mapping[Path, Any]
    problems: list[Problem] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def config(self, paths: Sequence[Path]) -> Config:
        files = find(paths, self.directory)
        process = with_env_files(self.process, self.directory)
        parts = [part for file in files if (part := self._part(file, process)) is not None]
        if not parts:
            raise ConfigError(self.problems)
        base = parts[0].base
        own = merging.mapping(parts, "env")
        options = self._options(merging.mapping(parts, "commandLineOptions"))
        env = self._kept(
            lambda: with_env_files(process, self.directory, env_paths(options, base)), dict(process)
        )
        filters = {name: str(path) for name, path in merging.mapping(parts, "nunjucksFilters").items()}
        self._filter_notes(filters, parts[0])
        config = Config(
            paths=tuple(files), base=base, description=merging.texts(parts, "description"),
            tags={name: javascript_text.text(tag) for name, tag in merging.mapping(parts, "tags").items()},
            providers=self._providers(parts, env, own), prompts=self._prompts(parts, paths, env),
            tests=tuple(merging.tests(parts)), default_test=self._default_test(parts),
            scenarios=tuple((base, entry) for entry in merging.listed(parts, "scenarios")),
            evaluate_options=merging.mapping(parts, "evaluateOptions"), command_line_options=options,
            env={name: javascript_text.text(value) for name, value in own.items() if value is not None},
            environment=visible_env(env, own), nunjucks_filters=filters,
            derived_metrics=tuple(merging.listed(parts, "derivedMetrics")),
            extensions=tuple(map(str, merging.listed(parts, "extensions"))),
            output_paths=tuple(map(str, merging.listed(parts, "outputPath"))), raw=_raw(parts),
        )  # fmt: skip
        if self.problems:
            raise ConfigError(dict.fromkeys(self.problems))
        return _with_notes(config, self.notes)

    def _kept(self, make: Any, otherwise: Any) -> Any:
        """What is made, or `otherwise` with the problems kept for the end."""
        try:
            return make()
        except ConfigError as error:
            self.problems += error.problems
            return otherwise

    # Files

    def _part(self, file: Path, process: Mapping[str, str]) -> Part | None:
        try:
            document = self._document(file)
            data = _keys(document)
            if not is_on(process, "PROMPTFOO_DISABLE_REF_PARSER") and file.suffix in _DATA:
                data = self._dereferenced(data, file, document)
        except ConfigError as error:
            self.problems += error.problems
            return None
        self.notes += date_notes(data, document)
        written = data
        enabled = not is_on(process, "PROMPTFOO_DISABLE_TEMPLATING")
        seen = visible_env(process, {})
        own = render_env(data.get("env") or {}, seen, enabled=enabled)
        data = render_env(
            data, visible_env(process, own if isinstance(own, Mapping) else {}), enabled=enabled
        )
        self.notes += warnings(data, document)
        self.problems += [*option_problems(data, document), *assertion_problems(data, document)]
        self._prompt_notes(data, document)
        return Part(file, data, document, written)

    def _document(self, file: Path) -> Document:
        if file in self.evaluated:
            return Document(str(file), self.evaluated[file])
        if file.suffix in _DATA:
            try:
                return read_document(str(file), file.read_bytes())
            except OSError as error:
                got = f"not readable ({error.strerror})"
                raise ConfigError([Problem(str(file), "", got, "expected a configuration")]) from None
        if file.suffix in _TYPESCRIPT:
            advice = "compile it to JavaScript, or write YAML"
            raise ConfigError(
                [Problem(str(file), "", "TypeScript", "expected YAML, JSON or JavaScript", advice)]
            )
        got = "JavaScript, which cannot be run here" if file.suffix in _JAVASCRIPT else f"a file {file.name}"
        raise ConfigError([Problem(str(file), "", got, f"expected one of {', '.join(sorted(_DATA))}")])

    def _dereferenced(self, data: Any, file: Path, document: Document) -> Any:
        try:
            return dereferenced(data, file, self.directory)
        except ConfigError as error:
            raise ConfigError(
                Problem(
                    p.file,
                    p.key,
                    p.got,
                    p.expected,
                    p.advice,
                    document.line(p.key) if p.file == str(file) else p.line,
                )
                for p in error.problems
            ) from None

    # Notes

    def _prompt_notes(self, data: Mapping[str, Any], document: Document) -> None:
        tests = data.get("tests")
        if data.get("prompts") or not isinstance(tests, list | Mapping):
            return
        if any(isinstance(test, Mapping) and "prompt" in (test.get("vars") or {}) for test in tests):
            return
        what = "there are no prompts and no variable `prompt`: what is sent is empty"
        self.notes.append(
            Note(where=f"{document.path}: prompts", effect=Effect.DIFFERS, what=what, advice="add prompts")
        )

    def _filter_notes(self, filters: Mapping[str, str], part: Part) -> None:
        for name, path in filters.items():
            if filter_file(path, part.base) is None:
                what = f"there is no script {path}: templates that use the filter {name} fail"
                self.notes.append(
                    Note(where=f"{part.path}: nunjucksFilters.{name}", effect=Effect.DIFFERS, what=what)
                )

    # Values

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        numbers = {name: whole(options[name]) for name in _WHOLE if name in options}
        return options | {name: number for name, number in numbers.items() if number is not None}

    def _providers(
        self, parts: Sequence[Part], env: Mapping[str, str], own: Mapping[str, Any]
    ) -> tuple[ProviderSpec, ...]:
        def make() -> tuple[ProviderSpec, ...]:
            entries = merging.providers(parts)
            if not entries:
                expected = "expected at least one, such as openai:gpt-4.1"
                raise ConfigError([Problem(str(parts[0].path), "providers", "missing", expected)])
            return provider_specs(entries, parts[0].base, env=env, own=own)

        found: tuple[ProviderSpec, ...] = self._kept(make, ())
        return found

    def _prompts(
        self, parts: Sequence[Part], paths: Sequence[Path], env: Mapping[str, str]
    ) -> tuple[PromptSpec, ...]:
        def make() -> tuple[PromptSpec, ...]:
            shown_as = paths[0].parent if paths else Path()
            prompts, notes = load_prompts(merging.prompts(parts), parts[0].base, shown=shown_as, env=env)
            self.notes += notes
            if not prompts:
                advice = "; ".join(note.what for note in notes if note.effect is Effect.UNSUPPORTED)
                problem = Problem(
                    str(parts[0].path), "prompts", "empty", "expected at least one prompt", advice
                )
                raise ConfigError([problem])
            return prompts

        found: tuple[PromptSpec, ...] = self._kept(make, ())
        return found

    def _default_test(self, parts: Sequence[Part]) -> Mapping[str, Any]:
        said = merging.default_test(parts)
        if isinstance(said, str):
            if not said.startswith(FILE):
                what = f"defaultTest {said!r} is ignored: a path begins with file://"
                self.notes.append(Note(where=str(parts[0].path), effect=Effect.IGNORED, what=what))
                return {}
            loaded = self._kept(lambda: load_value(said, parts[0].base), {})
            if not isinstance(loaded, Mapping):
                self.problems.append(Problem(said, "", shown(loaded), "expected a test: a mapping"))
                return {}
            return loaded
        return said or {}


def _keys(document: Document) -> Mapping[str, Any]:
    data = {} if document.data is None else document.data
    if isinstance(data, Mapping):
        return data
    raise ConfigError([Problem(document.path, "", shown(data), "expected a mapping of keys", line=1)])


def _raw(parts: Sequence[Part]) -> Mapping[str, Any]:
    """The merged file as it is written: secrets of the environment are not in it. Lists are put together, mappings laid over."""
    if len(parts) == 1:
        return parts[0].written
    merged: dict[str, Any] = {}
    for part in parts:
        for name, value in part.written.items():
            before = merged.get(name)
            if isinstance(before, list) and isinstance(value, list):
                merged[name] = [*before, *value]
            elif isinstance(before, dict) and isinstance(value, dict):
                merged[name] = before | value
            else:
                merged[name] = value
    return merged


def _with_notes(config: Config, notes: Sequence[Note]) -> Config:
    return replace(config, notes=tuple(sorted(set(notes))))
