"""The syntax tree of a template."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Node:
    """Anything in the tree."""


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A string, number, constant or pattern."""

    value: Any


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A name."""

    name: str


@dataclass(frozen=True, slots=True)
class Brackets(Node):
    """`(a, b)`: the last of them."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ArrayOf(Node):
    """`[a, b]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class DictOf(Node):
    """`{a: b}`."""

    names: tuple[str, ...]
    values: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Member(Node):
    """`a.b` and `a[b]`."""

    target: Node
    key: Node


@dataclass(frozen=True, slots=True)
class Arguments(Node):
    """Arguments of a call or a signature; keywords make one object, the last argument."""

    positional: tuple[Node, ...] = ()
    names: tuple[str, ...] = ()
    values: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`a(b)`."""

    target: Node
    arguments: Arguments
    line: int


@dataclass(frozen=True, slots=True)
class Filter(Node):
    """`a | name(b)`; `value` may be a block."""

    name: str
    value: Node
    arguments: Arguments
    line: int


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`not a`, `-a`, `+a`."""

    operator: str
    target: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Everything with two sides, comparisons too."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Contains(Node):
    """`a in b`."""

    item: Node
    container: Node


@dataclass(frozen=True, slots=True)
class Test(Node):
    """`a is name(b)`."""

    __test__ = False

    value: Node
    name: str
    arguments: Arguments
    line: int


@dataclass(frozen=True, slots=True)
class Choice(Node):
    """`a if b else c`."""

    body: Node
    condition: Node
    otherwise: Node


@dataclass(frozen=True, slots=True)
class Body(Node):
    """Statements in a row."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Text(Node):
    """What is printed as it stands."""

    text: str


@dataclass(frozen=True, slots=True)
class Print(Node):
    """`{{ a }}`."""

    value: Node


@dataclass(frozen=True, slots=True)
class If(Node):
    """`{% if %}` with its branches nested in `otherwise`."""

    condition: Node
    body: Body
    otherwise: Body


@dataclass(frozen=True, slots=True)
class For(Node):
    """`{% for %}`."""

    names: tuple[str, ...]
    items: Node
    body: Body
    otherwise: Body


@dataclass(frozen=True, slots=True)
class Set(Node):
    """`{% set a, b = value %}`; `value` may be a block."""

    names: tuple[str, ...]
    value: Node


@dataclass(frozen=True, slots=True)
class Printed(Node):
    """What a block prints, as a value."""

    body: Body


@dataclass(frozen=True, slots=True)
class Macro(Node):
    """`{% macro %}`."""

    name: str
    signature: Arguments
    body: Body


@dataclass(frozen=True, slots=True)
class CallBlock(Node):
    """The block that `{% call %}` hands to a macro."""

    signature: Arguments
    body: Body


@dataclass(frozen=True, slots=True)
class Case(Node):
    """One `{% case %}`."""

    value: Node
    body: Body


@dataclass(frozen=True, slots=True)
class Switch(Node):
    """`{% switch %}`."""

    value: Node
    cases: tuple[Case, ...]
    default: Body


@dataclass(frozen=True, slots=True)
class Block(Node):
    """`{% block %}`: printed in place unless a template that extends this one has its own; what it sets stays inside."""

    name: str
    body: Body


@dataclass(frozen=True, slots=True)
class Extends(Node):
    """`{% extends %}`."""

    file: Node


@dataclass(frozen=True, slots=True)
class Include(Node):
    """`{% include %}`."""

    file: Node
    optional: bool


@dataclass(frozen=True, slots=True)
class Import(Node):
    """`{% import file as name %}`, or `{% from file import names %}`: what a template sets, and its macros."""

    file: Node
    module: str
    """Empty: only the names."""
    names: tuple[tuple[str, str], ...]
    """Each with what it is called here."""
    with_context: bool


def children(node: Node) -> Iterator[Node]:
    """The nodes right below a node."""
    for field in fields(node):
        value = getattr(node, field.name)
        if isinstance(value, Node):
            yield value
        elif isinstance(value, tuple):
            yield from (item for item in value if isinstance(item, Node))
