"""`$ref`: parts of the configuration that stand elsewhere in it, or in another file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from promptship.errors import ConfigError, Problem
from promptship.evals.promptfoo.yaml_text import read_document

_DEPTH_MAX: Final = 200


@dataclass(slots=True)
class _Documents:
    """Files by path, each read once."""

    roots: dict[Path, Any]
    problems: list[Problem] = field(default_factory=list)


class _Broken(Exception):
    pass


def dereferenced(data: Any, file: Path, directory: Path) -> Any:
    """The data with every `{"$ref": ...}` replaced; keys beside it are laid over what it stands for.

    Paths start at `directory`, else beside the file. Schemas of a provider's tools and functions are left alone.

    Raises:
        ConfigError: every reference to nothing, to the web, or to something that contains it.
    """
    documents = _Documents({file: data})
    walk = _Walk(documents, directory)
    result = walk.value(data, file, "", ())
    if documents.problems:
        raise ConfigError(documents.problems)
    return result


@dataclass(slots=True)
class _Walk:
    documents: _Documents
    directory: Path
    done: dict[tuple[Path, int], Any] = field(default_factory=dict)

    def value(self, value: Any, file: Path, key: str, through: tuple[tuple[Path, str], ...]) -> Any:
        if isinstance(value, list):
            known = self.done.get((file, id(value)))
            if known is None:
                known = [self.value(item, file, f"{key}[{at}]", through) for at, item in enumerate(value)]
                self.done[(file, id(value))] = known
            return known
        if not isinstance(value, Mapping):
            return value
        reference = value.get("$ref")
        if isinstance(reference, str):
            return self._referred(value, reference, file, key, through)
        known = self.done.get((file, id(value)))
        if known is None:
            known = {
                name: item
                if _is_schema(key, name)
                else self.value(item, file, f"{key}.{name}".lstrip("."), through)
                for name, item in value.items()
            }
            self.done[(file, id(value))] = known
        return known

    def _referred(
        self,
        value: Mapping[str, Any],
        reference: str,
        file: Path,
        key: str,
        through: tuple[tuple[Path, str], ...],
    ) -> Any:
        try:
            target, pointer = self._target(reference, file, through)
            found = _pointed(self._root(target), pointer)
        except _Broken as broken:
            place = key or "$ref"
            self.documents.problems.append(Problem(str(file), place, f"$ref {reference!r}", str(broken)))
            return value
        resolved = self.value(found, target, key, (*through, (target, pointer)))
        others = {name: item for name, item in value.items() if name != "$ref"}
        if others and isinstance(resolved, Mapping):
            return {
                **resolved,
                **{name: self.value(item, file, key, through) for name, item in others.items()},
            }
        return resolved

    def _target(self, reference: str, file: Path, through: tuple[tuple[Path, str], ...]) -> tuple[Path, str]:
        path, _, pointer = reference.partition("#")
        target = self._file(path, file)
        if (target, pointer) in through or len(through) > _DEPTH_MAX:
            raise _Broken("expected data that ends: it refers to itself")
        return target, pointer

    def _file(self, path: str, file: Path) -> Path:
        if path.startswith(("http://", "https://")):
            raise _Broken("expected a reference into this file or another one: addresses are not fetched")
        if not path:
            return file
        is_first = file == next(iter(self.documents.roots))
        places = [self.directory / path, file.parent / path] if is_first else [file.parent / path]
        for place in places:
            if place.is_file():
                return place.resolve()
        raise _Broken(f"expected a file: there is none at {places[0]}")

    def _root(self, path: Path) -> Any:
        if path not in self.documents.roots:
            try:
                self.documents.roots[path] = read_document(str(path), path.read_bytes()).data
            except (ConfigError, OSError) as error:
                raise _Broken(f"expected YAML or JSON: {error}") from None
        return self.documents.roots[path]


def _is_schema(key: str, name: str) -> bool:
    """Parameters of tools and functions are JSON Schemas, whose references are their own."""
    if name != "parameters" or not key.startswith("providers["):
        return False
    return ".config.functions[" in key or (".config.tools[" in key and key.endswith(".function"))


def _pointed(root: Any, pointer: str) -> Any:
    found = root
    for step in [unquote(part).replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]:
        if isinstance(found, Mapping) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        else:
            raise _Broken(f"expected something to stand there: there is no {step!r}")
    return found
