"""Several configurations as one, by promptfoo's rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptship.errors import ConfigError, Problem
from promptship.evals.document import Document
from promptship.evals.promptfoo import javascript_text
from promptship.evals.promptfoo.prompts import PromptEntry
from promptship.evals.promptfoo.providers_file import ProviderEntry
from promptship.evals.promptfoo.references import FILE
from promptship.evals.promptfoo.validation import shown


@dataclass(frozen=True, slots=True)
class Part:
    """One file: `data` with references and `env` filled in. `document` knows its lines."""

    path: Path
    data: Mapping[str, Any]
    document: Document
    written: Mapping[str, Any]
    """Before `env` was filled in."""

    @property
    def base(self) -> Path:
        """Its directory."""
        return self.path.parent

    def problem(self, key: str, got: str, expected: str, advice: str = "") -> Problem:
        """Something wrong with it, with its line."""
        return Problem(str(self.path), key, got, expected, advice, line=self.document.line(key))


def texts(parts: Sequence[Part], key: str) -> str:
    """Descriptions of several files, with commas between them."""
    said = [part.data.get(key) for part in parts]
    return ", ".join("" if value is None else javascript_text.text(value) for value in said)


def mapping(parts: Sequence[Part], key: str) -> dict[str, Any]:
    """A mapping of all files: the last one wins, name by name."""
    merged: dict[str, Any] = {}
    for part in parts:
        value = part.data.get(key)
        merged |= value if isinstance(value, Mapping) else {}
    return merged


def listed(parts: Sequence[Part], key: str) -> list[Any]:
    """Lists of all files, one after the other; a text is a list of one."""
    values = [part.data.get(key) for part in parts]
    return [item for value in values for item in ([value] if isinstance(value, str) else value or [])]


def providers(parts: Sequence[Part]) -> list[ProviderEntry]:
    """Providers of all files, each once."""
    found: dict[str, ProviderEntry] = {}
    for part in parts:
        key = "targets" if part.data.get("targets") else "providers"
        value = part.data.get(key)
        if isinstance(value, Mapping):
            raise ConfigError(
                [part.problem(key, "a mapping", "expected a list, each provider with a dash before it")]
            )
        for number, item in enumerate([value] if isinstance(value, str) else value or []):
            if item:
                place = key if isinstance(value, str) else f"{key}[{number}]"
                entry = ProviderEntry(item, str(part.path), place, part.document.line(place))
                found.setdefault(javascript_text.json_text(item), entry)
    return list(found.values())


def prompts(parts: Sequence[Part]) -> list[PromptEntry]:
    """Prompts of all files: texts each once, maps of `{path: label}` over one another; without any `{{prompt}}`.

    Raises:
        ConfigError: every entry that is no prompt; lists and maps in one run.
    """
    said = [
        (part, part.data.get("prompts") or ("{{prompt}}" if part.data.get("prompts") != [] else []))
        for part in parts
    ]
    maps = [part for part, value in said if isinstance(value, Mapping)]
    if maps and len(maps) < len(parts):
        got = "a map of {path: label}, while another file has a list"
        raise ConfigError(
            [part.problem("prompts", got, "expected the same form in all files") for part in maps]
        )
    if maps:
        merged = {
            path: label for _, value in said if isinstance(value, Mapping) for path, label in value.items()
        }
        return [
            PromptEntry(raw=path, label=javascript_text.text(label), where=f"{maps[0].path}: prompts.{path}")
            for path, label in merged.items()
        ]
    entries: dict[Any, PromptEntry] = {}
    problems: list[Problem] = []
    for part, value in said:
        for number, item in enumerate([value] if isinstance(value, str) else value):
            key = "prompts" if isinstance(value, str) else f"prompts[{number}]"
            made = _prompt(item, key, part)
            if isinstance(made, Problem):
                problems.append(made)
            else:
                entries.setdefault(made.raw if isinstance(item, str) else (str(part.path), key), made)
    if problems:
        raise ConfigError(problems)
    return list(entries.values())


def _prompt(item: Any, key: str, part: Part) -> PromptEntry | Problem:
    line = part.document.line(key)
    where = f"{part.path}:{line}: {key}" if line else f"{part.path}: {key}"
    if isinstance(item, str):
        return PromptEntry(raw=_absolute(item, part), where=where)
    form = "expected text, {id: a path, label} or {raw, label}"
    if not isinstance(item, Mapping):
        return part.problem(key, shown(item), form)
    label, raw, own = item.get("label"), item.get("raw"), item.get("id")
    if not isinstance(raw, str) and not isinstance(label, str):
        return part.problem(key, "a prompt without label and raw", form, "add `label: a name for it`")
    if not own and not (isinstance(raw, str) and isinstance(label, str)):
        return part.problem(key, "a prompt without label" if raw else "a prompt without raw and id", form)
    place = _absolute(own, part) if isinstance(own, str) else ""
    config = item.get("config")
    return PromptEntry(
        raw=raw if isinstance(raw, str) and raw else place, label=label if isinstance(label, str) else None, id=place,
        config=config if isinstance(config, Mapping) else {}, where=where,
    )  # fmt: skip


def _absolute(path: str, part: Part) -> str:
    return f"{FILE}{part.base / path.removeprefix(FILE)}" if path.startswith(FILE) else path


def tests(parts: Sequence[Part]) -> Iterator[tuple[Path, Any]]:
    """Raw tests with the directory they are relative to: lists to the first file's, paths and generators to their own."""
    for part in parts:
        value = part.data.get("tests")
        if isinstance(value, list):
            yield from ((parts[0].base, item) for item in value)
        elif isinstance(value, str) or (isinstance(value, Mapping) and "path" in value):
            yield (part.base if len(parts) > 1 else parts[0].base), value


def default_test(parts: Sequence[Part]) -> Mapping[str, Any] | str | None:
    """Default tests over one another; a path replaces everything before and after it."""
    merged: Mapping[str, Any] | str | None = None
    for part in parts:
        value = part.data.get("defaultTest")
        if isinstance(value, str):
            merged = value
        elif not isinstance(merged, str) and isinstance(value, Mapping):
            merged = _laid_over(merged or {}, value)
    return merged


def _laid_over(under: Mapping[str, Any], over: Mapping[str, Any]) -> Mapping[str, Any]:
    merged = {**under, **over}
    for key in ("vars", "options", "metadata"):
        sides = [side.get(key) for side in (under, over)]
        if any(isinstance(side, str | list) for side in sides):
            continue  # paths to files of variables cannot be merged before they are read
        if any(sides):
            merged[key] = {name: value for side in sides for name, value in (side or {}).items()}
    asserts = [*(under.get("assert") or []), *(over.get("assert") or [])]
    return {**merged, "assert": asserts} if asserts else merged
