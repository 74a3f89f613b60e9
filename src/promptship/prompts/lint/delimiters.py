"""Where a template writes its variables out, and whether that place is delimited.

A place is delimited when, in the same message, it stands

1. inside a tag pair: `<name>` is open before it and `</name>` follows it, whatever else is between; tags that hold orders
   (`ORDER_TAGS`: instructions, system, ...) do not count;
2. inside a fence: an odd number of ``` (or ~~~, double or single quotes, three or more) before it, and one more after it;
3. between delimiter lines: an odd number of equal lines that begin with at least three times the same one of `-=#*_~+` above
   it and another below it; or a line such as `--- BEGIN NOTES ---` above and `--- END NOTES ---` below, nothing of the kind
   between; or `<<<` before and `>>>` after it, on the same or on other lines.

The filter `tojson` delimits by itself: it quotes and escapes. Delimiters written by another message, by an included value or by
a macro do not count, and no delimiter stops a determined attacker: it makes plain to the model what is data.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from jinja2 import nodes

from promptship.prompts.lint.subject import SYNTAX, split_lines

ORDER_TAGS: Final = frozenset(
    {"guidelines", "instruction", "instructions", "persona", "prompt", "role", "rules", "system", "task"}
)
_HERE: Final = "\ue000"
"""Stands for one `{{ ... }}` in the text around it; a private-use character, so that no template contains it by chance."""

_TAG = re.compile(r"<(/?)([A-Za-z][\w.-]*)(?:\s[^<>]*?)?(/?)>")
_FENCES = tuple(re.compile(pattern) for pattern in (r"`{3,}", r"~{3,}", r'"{3,}', r"'{3,}"))
_RULE_LINE = re.compile(r"([-=#*_~+])\1{2,}")
_BOUNDARY = re.compile(r"\s*[-=#*_~+<>\[\]{}|]{2,}\s*(BEGIN|START|END|STOP)\b(.*)", re.IGNORECASE)
_ANGLES = re.compile(r"<{3,}|>{3,}")
_HARMLESS_FILTERS: Final = frozenset({"count", "float", "int", "length", "round", "tojson", "wordcount"})
"""Filters whose output is a number, or quoted and escaped."""


@dataclass(frozen=True, slots=True)
class Interpolation:
    """One `{{ ... }}` that writes out at least one of the variables asked for. `line` is 1-based within the template."""

    line: int
    names: frozenset[str]
    delimited: bool


def interpolations(content: str, variables: Collection[str]) -> Iterator[Interpolation]:
    """Every place where a template that parses writes one of `variables` out, also through `for` and `set`."""
    if not variables:
        return
    tree = SYNTAX.parse(content)
    aliases = _aliases(tree, variables)
    text, places = _skeleton(content)
    outputs = [part for output in tree.find_all(nodes.Output) for part in output.nodes]
    written = [part for part in outputs if not isinstance(part, nodes.TemplateData)]
    # `{% print x %}` writes without braces: then the places cannot be paired, and nothing counts as delimited.
    paired = len(written) == len(places)
    for index, part in enumerate(written):
        if names := _leaks(part, aliases):
            yield Interpolation(part.lineno, frozenset(names), paired and _delimited(text, places[index]))


def _skeleton(content: str) -> tuple[str, list[int]]:
    """The text as rendered, with every expression replaced by one character, and where those stand."""
    parts: list[str] = []
    places: list[int] = []
    size = 0
    for _, kind, value in SYNTAX.lex(content):
        if kind == "data":
            parts.append(value)
            size += len(value)
        elif kind == "variable_begin":
            parts.append(_HERE)
            places.append(size)
            size += 1
    return "".join(parts), places


def _aliases(tree: nodes.Template, variables: Collection[str]) -> Mapping[str, frozenset[str]]:
    """Name in the template -> the variables whose text it can carry; names are not told apart by scope."""
    aliases = {name: frozenset({name}) for name in variables}
    bindings = [(node.target, node.iter) for node in tree.find_all(nodes.For)]
    bindings += [(node.target, node.node) for node in tree.find_all(nodes.Assign)]
    for block in tree.find_all(nodes.With):
        bindings += zip(block.targets, block.values, strict=True)
    for capture in tree.find_all(nodes.AssignBlock):
        bindings += [
            (capture.target, part) for output in capture.find_all(nodes.Output) for part in output.nodes
        ]
    for _ in range(len(bindings)):  # a chain of assignments is at most as long as there are assignments
        for target, value in bindings:
            carried = _leaks(value, aliases)
            for name in _names(target) if carried else ():
                aliases[name] = aliases.get(name, frozenset()) | carried
    return aliases


def _names(target: nodes.Node) -> set[str]:
    found = {name.name for name in target.find_all(nodes.Name)}
    return found | {target.name} if isinstance(target, nodes.Name) else found


def _leaks(node: nodes.Node, aliases: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Variables whose text can come out of an expression: not those it only tests, counts or compares."""
    match node:
        case nodes.Name():
            return aliases.get(node.name, frozenset())
        case nodes.Filter() if node.name in _HARMLESS_FILTERS:
            return frozenset()
        case nodes.Test() | nodes.Compare() | nodes.Not() | nodes.TemplateData():
            return frozenset()
        case nodes.CondExpr():
            otherwise = _leaks(node.expr2, aliases) if node.expr2 else frozenset[str]()
            return _leaks(node.expr1, aliases) | otherwise
        case _:
            return frozenset().union(*(_leaks(child, aliases) for child in node.iter_child_nodes()))


def _delimited(text: str, at: int) -> bool:
    before, after = text[:at], text[at + 1 :]
    return (
        _in_tags(before, after)
        or any(len(f.findall(before)) % 2 == 1 and f.search(after) is not None for f in _FENCES)
        or _in_angles(before, after)
        or _between_lines(before, after)
    )


def _in_tags(before: str, after: str) -> bool:
    still_open: list[str] = []
    for closing, name, empty in _TAG.findall(before):
        if closing and name in still_open:
            del still_open[len(still_open) - 1 - still_open[::-1].index(name) :]
        elif not closing and not empty:
            still_open.append(name)
    closed = {name for closing, name, _ in _TAG.findall(after) if closing}
    return any(name in closed and name.lower() not in ORDER_TAGS for name in still_open)


def _in_angles(before: str, after: str) -> bool:
    last, first = _ANGLES.findall(before), _ANGLES.search(after)
    return bool(last) and last[-1][0] == "<" and first is not None and first.group()[0] == ">"


def _between_lines(before: str, after: str) -> bool:
    # The place's own line is cut in two by it and is no delimiter line.
    above = [line.strip() for line in split_lines(before)[:-1]]
    below = [line.strip() for line in split_lines(after)[1:]]
    equal = {line for line in above if _RULE_LINE.match(line) and not _BOUNDARY.match(line)} & set(below)
    if any(above.count(line) % 2 == 1 for line in equal):
        return True
    begins = [match for line in above if (match := _BOUNDARY.match(line))]
    ends = [match for line in below if (match := _BOUNDARY.match(line))]
    return bool(begins and ends) and _pair(begins[-1], ends[0])


def _pair(begin: re.Match[str], end: re.Match[str]) -> bool:
    labels = [re.sub(r"\W+", " ", match.group(2)).strip().lower() for match in (begin, end)]
    opens, closes = begin.group(1).upper() in {"BEGIN", "START"}, end.group(1).upper() in {"END", "STOP"}
    return opens and closes and labels[0] == labels[1]
