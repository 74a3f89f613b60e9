"""Prompts: texts, files of all kinds, functions and programs."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from promptship.errors import ConfigError, Problem
from promptship.evals.promptfoo import javascript_text
from promptship.evals.promptfoo.calling import split_function
from promptship.evals.promptfoo.model import Effect, Note, PromptSpec
from promptship.evals.promptfoo.paths import glob_files, has_wildcards
from promptship.evals.promptfoo.references import FILE, load_nested, read_text
from promptship.evals.promptfoo.tables import read_csv
from promptship.evals.promptfoo.yaml_text import read_document

_EXTENSIONS: Final = (
    ".cjs", ".cts", ".j2", ".js", ".json", ".jsonl", ".md", ".mjs", ".mts", ".py", ".ts", ".txt", ".yml", ".yaml",
)  # fmt: skip
_REMOTE: Final = {"langfuse://": "Langfuse", "helicone://": "Helicone", "portkey://": "Portkey"}
_JAVASCRIPT: Final = frozenset({".js", ".cjs", ".mjs", ".ts", ".cts", ".mts"})
_PROGRAMS: Final = frozenset({".sh", ".bash", ".exe", ".bat", ".cmd", ".ps1", ".rb", ".pl"})
_PATH_SIGNS: Final = frozenset("*/\\")
_LOOKS_LIKE_A_PATH: Final = (
    "a line of text with a slash, a star or a dot near its end counts as a path: write it over two lines"
)
_HEAD: Final = 50
"""Characters of a file's text in its label."""
_YAML_HEAD: Final = 80
_SOURCE_BYTES_MAX: Final = 102_400
"""A program's text is kept for reports up to this size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptEntry:
    """One entry of `prompts`. `where` is its key, for messages."""

    raw: str
    label: str | None = None
    id: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    where: str = "prompts"


def matches(prompt: PromptSpec, filters: Sequence[str]) -> bool:
    """Whether a prompt is among those that a provider or a test names; without filters all are.

    A filter is a label or an id, the beginning of one with `*` (`Group:*`), or its part before a colon (`Group`).
    """
    names = [name for name in (prompt.label, prompt.id) if name]
    return not filters or any(_named(name, wanted) for wanted in filters for name in names)


def _named(name: str, wanted: str) -> bool:
    beginning = wanted.endswith("*") and name.startswith(wanted[:-1])
    return name == wanted or beginning or name.startswith(f"{wanted}:")


def is_path(text: str) -> bool:
    """Whether promptfoo takes the text of a prompt for a path.

    It does when a sign of paths is in it, when it ends as files do (a dot before two or three characters, or an extension that
    it knows, with or without `:function` behind it), and when it has one line only.
    """
    if "\n" in text or any(start in text for start in _REMOTE):
        return False
    if not _PATH_SIGNS.isdisjoint(text) or "." in text[-4:-2]:
        return True
    return any(part.endswith(_EXTENSIONS) for part in text.split(":")[-2:])


def load_prompts(
    entries: Sequence[PromptEntry],
    base: Path,
    *,
    shown: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> tuple[tuple[PromptSpec, ...], tuple[Note, ...]]:
    """The prompts of all entries, in order, and what of them cannot be had here.

    `shown` is how paths begin in labels; None: like `base`.

    Raises:
        ConfigError: every missing file and every entry without a prompt.
    """
    loader = _Loader(base, base if shown is None else shown, env or {})
    found: list[PromptSpec] = []
    for entry in entries:
        try:
            prompts = loader.entry(entry)
        except ConfigError as error:
            loader.problems += [_placed(p, entry.where) for p in error.problems]
            continue
        found += prompts
    if loader.problems:
        raise ConfigError(loader.problems)
    return tuple(found), tuple(loader.notes)


def _placed(problem: Problem, where: str) -> Problem:
    """The problem of an entry, said where the entry stands; a file that is itself wrong stays first."""
    if problem.file:
        return replace(problem, key=f"{where} {problem.key}".strip())
    file, colon, key = where.rpartition(": ")
    return replace(problem, file=file if colon else where, key=key if colon else "")


class _Loader:
    def __init__(self, base: Path, shown: Path, env: Mapping[str, str]) -> None:
        self.base = base
        self.problems: list[Problem] = []
        self.notes: list[Note] = []
        self._shown = shown
        self._env = env
        self._separator = env.get("PROMPTFOO_PROMPT_SEPARATOR") or "---"
        self._readers: dict[str, Callable[[Path, PromptEntry], list[PromptSpec]]] = {
            ".csv": self._csv, ".j2": self._whole, ".md": self._markdown, ".json": self._json, ".jsonl": self._json_lines,
            ".txt": self._text, ".yaml": self._yaml, ".yml": self._yaml,
        }  # fmt: skip

    def entry(self, entry: PromptEntry) -> list[PromptSpec]:
        """The prompts of one entry."""
        for start, service in _REMOTE.items():
            if entry.raw.startswith(start):
                self._note(entry, Effect.UNSUPPORTED, f"prompts of {service} are not fetched: {entry.raw}",
                           "save it as a file and name that")  # fmt: skip
                return []
        if entry.raw.startswith("exec:"):
            return [self._program(entry.raw.removeprefix("exec:"), entry)]
        if not is_path(entry.raw):
            return [self._literal(entry)]
        path, function = split_function(entry.raw)
        file = self.base / path
        if has_wildcards(path) or os.path.isdir(file):  # noqa: PTH112 - a name that is too long is none
            return self._pattern(path, function, entry)
        is_there = os.path.exists(file)  # noqa: PTH110 - likewise
        prompts = self._file(file, function, entry) if is_there else []
        if not prompts:
            got = f"{entry.raw[:80]!r}, {'a file without prompts' if is_there else 'which is no file'}"
            named = entry.raw.startswith(FILE)
            advice = f"relative paths start at {self.base}" if named else _LOOKS_LIKE_A_PATH
            raise ConfigError([Problem("", "", got, "expected a prompt", advice)])
        return prompts

    def _note(self, entry: PromptEntry, effect: Effect, what: str, advice: str = "") -> None:
        self.notes.append(Note(where=entry.where, effect=effect, what=what, advice=advice))

    def _pattern(self, path: str, function: str, entry: PromptEntry) -> list[PromptSpec]:
        found: list[PromptSpec] = []
        for one in glob_files(path, self.base):
            found += self._file(one, function, PromptEntry(raw=str(one), where=entry.where))
        if found and (entry.label or entry.config):
            self._note(entry, Effect.IGNORED, "label and config of a path with wildcards are ignored",
                       "name the files one by one")  # fmt: skip
        return found or [self._literal(entry)]

    def _file(self, path: Path, function: str, entry: PromptEntry) -> list[PromptSpec]:
        suffix = path.suffix
        if suffix in self._readers:
            return self._readers[suffix](path, entry)
        if suffix in _JAVASCRIPT or suffix == ".py":
            return [self._function(path, function, entry)]
        if suffix in _PROGRAMS or (path.is_file() and os.access(path, os.X_OK)):
            return [self._program(shlex.quote(str(path)), entry)]
        return []

    def _name(self, path: Path) -> str:
        """A path as labels show it."""
        return os.path.normpath(self._shown / os.path.relpath(path, self.base))

    def _spec(self, raw: str, label: str, entry: PromptEntry) -> PromptSpec:
        return PromptSpec(raw=raw, label=label, config=entry.config, base=self.base)

    def _literal(self, entry: PromptEntry) -> PromptSpec:
        label = entry.raw if entry.label is None else entry.label
        return replace(self._spec(entry.raw, label, entry), id=entry.id)

    def _whole(self, path: Path, entry: PromptEntry) -> list[PromptSpec]:
        text = read_text(path)
        return [self._spec(text, entry.label or f"{self._name(path)}: {text[:_HEAD]}...", entry)]

    def _markdown(self, path: Path, entry: PromptEntry) -> list[PromptSpec]:
        return self._whole(path, self._without_config(entry, path))

    def _without_config(self, entry: PromptEntry, path: Path) -> PromptEntry:
        if entry.config:
            self._note(entry, Effect.IGNORED, f"the config of {path.name} is ignored for this kind of file",
                       "write the prompt as JSON or YAML")  # fmt: skip
        return replace(entry, config={})

    def _text(self, path: Path, entry: PromptEntry) -> list[PromptSpec]:
        entry = self._without_config(entry, path)
        parts: list[list[str]] = [[]]
        for line in read_text(path).replace("\r\n", "\n").split("\n"):
            if line.strip() == self._separator:
                parts.append([])
            else:
                parts[-1].append(line)
        texts = [text for part in parts if (text := "\n".join(part).strip())]
        start = f"{entry.label}: " if entry.label else ""
        return [self._spec(text, f"{start}{self._name(path)}: {text}", entry) for text in texts]

    def _json(self, path: Path, entry: PromptEntry) -> list[PromptSpec]:
        text = read_text(path)
        try:
            data = javascript_text.parse_json(text)
        except (ValueError, RecursionError):
            self._note(entry, Effect.DIFFERS, f"{path.name} is not JSON: it is taken as plain text")
        else:
            text = javascript_text.json_text(load_nested(data, self.base, env=self._env))
        return [self._spec(text, entry.label or f"{self._name(path)}: {text}", entry)]

    def _yaml(self, path: Path, entry: PromptEntry) -> list[PromptSpec]:
        text = read_text(path)
        try:
            data = read_document(str(path), text).data
            text = javascript_text.json_text(load_nested(data, self.base, env=self._env))
        except ConfigError as error:
            self._note(entry, Effect.DIFFERS, f"{path.name} is taken as plain text: {error.problems[0]}")
        return [self._spec(text, entry.label or f"{self._name(path)}: {text[:_YAML_HEAD]}", entry)]

    def _json_lines(self, path: Path, entry: PromptEntry) -> list[PromptSpec]:
        lines = [line for line in read_text(path).replace("\r\n", "\n").split("\n") if line]
        start = entry.label or self._name(path)
        return [self._spec(line, f"{start}: {line}" if len(lines) > 1 else start, entry) for line in lines]

    def _csv(self, path: Path, entry: PromptEntry) -> list[PromptSpec]:
        rows = self._csv_rows(read_text(path))
        taken = {label for _, label in rows if label}
        several = len(rows) > 1
        found: list[PromptSpec] = []
        for number, (raw, own) in enumerate(rows, start=1):
            label = own or _free_label(_csv_label(entry.label, raw, number, several=several), number, taken)
            number_id = f"{entry.id}:{number}" if entry.id and several else entry.id
            found.append(replace(self._spec(raw, label, entry), id=number_id))
        return found

    def _csv_rows(self, text: str) -> list[tuple[str, str]]:
        delimiter = self._env.get("PROMPTFOO_CSV_DELIMITER") or ","
        if delimiter in text:
            try:
                rows = read_csv(_without_empty_lines(text), "", delimiter=delimiter)
            except ConfigError:
                rows = ()  # a text with commas, not a table
            cells = [{name.strip(): cell.strip() for name, cell in row.cells.items()} for row in rows]
            if rows:
                return [(row["prompt"], row.get("label", "")) for row in cells if row.get("prompt")]
        lines = [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]
        has_header = bool(lines) and lines[0].strip().lower() == "prompt"
        return [(line, "") for line in lines[has_header:]]

    def _function(self, path: Path, function: str, entry: PromptEntry) -> PromptSpec:
        source = read_text(path)
        shown = self._name(path)
        plain = f"{shown}: {source}" if path.suffix == ".py" else shown
        label = f"{shown}:{function}" if function else plain
        return replace(
            self._spec(source, entry.label or label, entry), path=path.resolve(), function=function
        )

    def _program(self, command: str, entry: PromptEntry) -> PromptSpec:
        try:
            parts = shlex.split(command)
        except ValueError as error:
            raise ConfigError([Problem("", "", f"exec:{command}", f"expected a command ({error})")]) from None
        if not parts:
            raise ConfigError([Problem("", "", "an empty command", "expected exec:program arguments")])
        path = self.base / parts[0]
        found = str(path) if path.exists() else shutil.which(parts[0])
        if found is None:
            raise ConfigError(
                [Problem(str(path), "", "no such file", "expected a program, or one on the PATH")]
            )
        label = shlex.join([self._name(path), *parts[1:]]) if path.exists() else command
        prompt = self._spec(_source(Path(found)) or command, entry.label or label, entry)
        return replace(prompt, path=Path(found).resolve(), command=(found, *parts[1:]))


def _csv_label(label: str | None, raw: str, number: int, *, several: bool) -> str:
    if label:
        return f"{label}: {raw}" if several else label
    return f"Prompt {number} - {raw}"


def _free_label(label: str, number: int, taken: set[str]) -> str:
    name, suffix = label, 1
    while name in taken:
        name = f"{label} (row {number}{f'.{suffix}' if suffix > 1 else ''})"
        suffix += 1
    taken.add(name)
    return name


def _without_empty_lines(text: str) -> str:
    return "\n".join(line for line in text.replace("\r\n", "\n").split("\n") if line.strip())


def _source(path: Path) -> str:
    """Text of a script; empty for what is none."""
    try:
        if path.stat().st_size < _SOURCE_BYTES_MAX:
            text = path.read_bytes().decode("utf-8")
            return "" if "\x00" in text else text
    except (OSError, UnicodeDecodeError):
        pass
    return ""
