"""YAML as js-yaml reads it: `yes` and `1:30` are text, `007` is 7, a key written twice is an error; lines are kept."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from promptship.errors import Problem
from promptship.evals.document import Document, composed, decoded
from promptship.evals.promptfoo import javascript_text

_Base: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader in C is ten times faster; it is in every wheel of PyYAML."""
_TAG: Final = "tag:yaml.org,2002:"
_OTHER: Final = frozenset(f"{_TAG}{kind}" for kind in ("bool", "int", "float", "timestamp", "value"))


NODES_MAX: Final = 10_000_000
"""Values of one document, aliases written out."""


class Timestamp(str):
    """A date that was not quoted, as ISO 8601: JavaScript reads it as a Date."""

    __slots__ = ()


class _Loader(_Base):  # type: ignore[misc]  # chosen while running
    """PyYAML with js-yaml's scalars."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own class attribute
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _OTHER]
        for first, resolvers in _Base.yaml_implicit_resolvers.items()
    }


# The forms of a timestamp are those of yaml.org/type/timestamp.html, the numbers those of YAML 1.2, section 10.3.2.
_DATE: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)\Z|(\d{4})-(\d\d?)-(\d\d?)(?:[Tt]|[ \t]+)(\d\d?):(\d\d):(\d\d)(?:\.(\d*))?(?:[ \t]*(Z|[-+]\d\d?(?::?\d\d)?))?\Z",
    re.ASCII,
)

for _kind, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    _Loader.add_implicit_resolver(f"{_TAG}{_kind}", re.compile(rf"(?:{_pattern})\Z"), list(_first))
_Loader.add_implicit_resolver(f"{_TAG}timestamp", _DATE, list("0123456789"))


def _scalar(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise yaml.constructor.ConstructorError(None, None, "expected a scalar", node.start_mark)
    return str(node.value)


def _integer(_: Any, node: yaml.Node) -> float:
    digits = _scalar(node)
    base = {"0o": 8, "0x": 16}.get(digits[:2], 10)
    try:
        number = javascript_text.integer(int(digits, base))
    except (ValueError, OverflowError):
        raise yaml.constructor.ConstructorError(
            None, None, f"cannot read {digits[:40]!r} as a number", node.start_mark
        ) from None
    return number


def _float(_: Any, node: yaml.Node) -> float:
    digits = _scalar(node).lower().replace(".inf", "inf").replace(".nan", "nan")
    try:
        number = float(digits)
    except ValueError:
        raise yaml.constructor.ConstructorError(
            None, None, f"cannot read {digits[:40]!r} as a number", node.start_mark
        ) from None
    whole = math.isfinite(number) and number.is_integer() and abs(number) < javascript_text.INTEGER_MAX
    return int(number) if whole else number


def _timestamp(loader: Any, node: yaml.Node) -> Timestamp:
    # PyYAML knows the calendar; js-yaml's Date is UTC with milliseconds.
    moment = _Base.construct_yaml_timestamp(loader, node)
    text: str = moment.isoformat()
    if "T" not in text:
        text += "T00:00:00"
    if hasattr(moment, "utcoffset") and moment.utcoffset() is not None:
        text = (moment - moment.utcoffset()).replace(tzinfo=None).isoformat()
    head, _, fraction = text.partition(".")
    return Timestamp(f"{head}.{(fraction + '000')[:3]}Z")


def _mapping(loader: Any, node: yaml.Node) -> Iterator[dict[str, Any]]:
    """Keys become text, as in every JavaScript object."""
    made: dict[str, Any] = {}
    yield made
    loader.flatten_mapping(node)
    for key_node, value_node in node.value:
        key = loader.construct_object(
            key_node
        )  # 1 and true are different keys, which a dict of them would not keep
        if isinstance(key, Timestamp) or not isinstance(key, str | int | float | None):
            raise yaml.constructor.ConstructorError(
                None, None, "expected a key that is text", key_node.start_mark
            )
        made[javascript_text.text(key)] = loader.construct_object(value_node)


for _kind, _constructor in (
    ("int", _integer),
    ("float", _float),
    ("timestamp", _timestamp),
    ("map", _mapping),
):
    _Loader.add_constructor(f"{_TAG}{_kind}", _constructor)


def read_document(path: str, content: bytes | str) -> Document:
    """YAML or JSON with the lines of its keys; empty text is None.

    Raises:
        ConfigError: not UTF-8, not YAML, a key written twice, a document that contains itself.
    """
    text = decoded(path, content) if isinstance(content, bytes) else content.removeprefix("\ufeff")
    return composed(path, _Loader(text), _wrong_in)


def _wrong_in(root: yaml.Node, path: str) -> list[Problem]:
    """Odd keys; without any, aliases that would be written out without end."""
    problems = list(_odd_keys(root, path))
    if not problems and _size(root, {}) > NODES_MAX:
        expected = f"expected at most {NODES_MAX:,} values"
        problems = [Problem(path, "", "aliases that multiply without end", expected)]
    return problems


def _odd_keys(root: yaml.Node, path: str) -> Iterator[Problem]:
    """Keys written twice in one mapping, and nodes that contain themselves."""
    done: set[int] = set()
    above: set[int] = set()
    waiting: list[tuple[yaml.Node, bool]] = [(root, False)]
    while waiting:
        node, leaving = waiting.pop()
        if leaving:
            above.discard(id(node))
            continue
        if id(node) in above:
            yield Problem(
                path,
                "",
                "an alias inside of what it stands for",
                "expected data without end",
                line=node.start_mark.line + 1,
            )
            continue
        if id(node) in done or isinstance(node, yaml.ScalarNode):
            continue
        done.add(id(node))
        above.add(id(node))
        waiting.append((node, True))
        if isinstance(node, yaml.SequenceNode):
            waiting += [(item, False) for item in node.value]
        elif isinstance(node, yaml.MappingNode):
            waiting += [(value, False) for _, value in node.value]
            yield from _twice(node, path)


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for, aliases written out."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        below = [value for _, value in node.value] if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 + sum(_size(item, known) for item in below)
    return known[id(node)]


def _twice(node: yaml.MappingNode, path: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for name, _ in node.value:
        line = name.start_mark.line + 1
        if not isinstance(name, yaml.ScalarNode):
            yield Problem(path, "", "a key that is a list or a mapping", "expected text", line=line)
        elif name.value in seen and name.value != "<<":
            yield Problem(path, name.value, "written twice", "expected each key once", line=line)
        else:
            seen.add(name.value)
