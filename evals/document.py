"""YAML, JSON and JSON lines as data that still knows its line numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from promptship.errors import ConfigError, Problem

_Base: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader in C is ten times faster; it is in every wheel of PyYAML."""


_TEXT: Final = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("timestamp", "bool", "int", "float"))


class _Loader(_Base):  # type: ignore[misc]  # chosen while running
    """The scalars of YAML 1.2, so that in a suite `no`, `2026-01-31`, `1:30` and `007` are text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own class attribute
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _TEXT]
        for first, resolvers in _Base.yaml_implicit_resolvers.items()
    }


for _kind, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", "-+0123456789"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_pattern})\Z"), list(_first)
    )


@dataclass(frozen=True, slots=True)
class Document:
    """Parsed content of a file."""

    path: str
    data: Any
    _root: yaml.Node | None = None
    _lines: tuple[int, ...] = field(default=())

    def line(self, key: str) -> int:
        """1-based line of a dotted key such as `cases[3].assert[0].type`, or of its nearest known parent; 0 unknown."""
        steps = re.findall(r"[^.\[\]]+|\[\d+\]", key)
        if self._lines:
            at = int(steps[1][1:-1]) if len(steps) > 1 and steps[1].startswith("[") else 0
            return self._lines[at] if at < len(self._lines) else 0
        node, line = self._root, 0
        for step in [None, *steps]:
            node = node if step is None else _child(node, step)
            if node is None:
                break
            line = node.start_mark.line + 1
        return line


def _child(node: yaml.Node | None, step: str) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and step.startswith("["):
        index = int(step[1:-1])
        return node.value[index] if index < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        return next((value for name, value in node.value if name.value == step), None)
    return None


def _duplicates(root: yaml.Node, path: str) -> Iterator[Problem]:
    """Keys written twice in one mapping: YAML keeps the last and says nothing."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # an alias: each node once, however often it is used
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            names: set[str] = set()
            for name, value in node.value:
                waiting.append(value)
                if isinstance(name, yaml.ScalarNode):
                    if name.value in names:
                        yield Problem(
                            path,
                            name.value,
                            "written twice",
                            "expected each key once",
                            line=name.start_mark.line + 1,
                        )
                    names.add(name.value)


def read_yaml(path: str, content: bytes) -> Document:
    """YAML (and JSON, which is YAML).

    Raises:
        ConfigError: not UTF-8, not YAML (with its line), or a key written twice.
    """
    return composed(path, _Loader(decoded(path, content)), _duplicates)


def composed(path: str, loader: Any, problems_in: Callable[[yaml.Node, str], Iterable[Problem]]) -> Document:
    """The document of a loader, disposed of in the end; empty text is None. `problems_in`: what else is wrong with its nodes.

    Raises:
        ConfigError: not YAML (with its line), nested too deeply, or what `problems_in` found, by line.
    """
    try:
        root = loader.get_single_node()
        if root is None:
            return Document(path, None)
        problems = sorted(problems_in(root, path), key=lambda problem: problem.line)
        if problems:
            raise ConfigError(problems)
        return Document(path, loader.construct_document(root), root)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        got = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(
            [Problem(path, "", str(got), "expected YAML", line=mark.line + 1 if mark else 0)]
        ) from None
    except RecursionError:
        raise ConfigError([Problem(path, "", "nested too deeply", "expected YAML")]) from None
    except ValueError as error:  # a number with thousands of digits
        raise ConfigError([Problem(path, "", str(error), "expected YAML")]) from None
    finally:
        loader.dispose()


def read_json_lines(path: str, content: bytes) -> Document:
    """One JSON object per line becomes `{"cases": [...]}`; empty lines are skipped.

    Raises:
        ConfigError: every line that is not a JSON object.
    """
    cases, lines, problems = [], [], []
    for number, text in enumerate(decoded(path, content).split("\n"), 1):
        if not text.strip():
            continue
        try:
            case = json.loads(text)
        except (ValueError, RecursionError) as error:
            problems.append(Problem(path, "", str(error), "expected one JSON object per line", line=number))
            continue
        if not isinstance(case, dict):
            problems.append(
                Problem(path, "", type(case).__name__, "expected one JSON object per line", line=number)
            )
        cases.append(case)
        lines.append(number)
    if problems:
        raise ConfigError(problems)
    return Document(path, {"cases": cases}, None, tuple(lines))


def decoded(path: str, content: bytes) -> str:
    """Text of a file. Raises ConfigError: it is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            [Problem(path, "", f"byte {error.start} is not UTF-8", "expected text in UTF-8")]
        ) from None
