"""The template language: sandboxed Jinja2 without loaders, deterministic, with limits.

Templates come from the repository, values from users. A value is never read as a template. The limits stop accidents
(a loop over too much, a width with too many zeros); they are no wall against a committer who means harm.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from functools import lru_cache
from itertools import islice
from typing import Any, ClassVar, Final

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, Undefined, meta, nodes, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

RENDERED_CHARS_MAX: Final = 2_000_000
"""Characters of one rendered prompt; also the longest value an operator may build."""
LOOPS_MAX: Final = 1_000_000
"""Turns of all loops of one message."""
WIDTH_MAX: Final = 10_000
"""Largest padding or indentation."""

_BUDGET: Final = " loops left"
"""Name of the loop budget in the context; no template can spell it."""
_MARKUP: Final = re.compile(r"\{[{%#]")
_STAND_INS: Final = tuple(chr(code) for code in range(0xFDD0, 0xFDF0))
"""Noncharacters: one that a template does not use stands in for a carriage return, which Jinja would make a newline."""
_LOADERS: Final = {
    nodes.Include: "include", nodes.Import: "import", nodes.FromImport: "from ... import", nodes.Extends: "extends",
}  # fmt: skip
_WIDE_METHODS: Final = frozenset({"center", "expandtabs", "format", "format_map", "ljust", "rjust", "zfill"})
_WIDE_FILTERS: Final = ("batch", "center", "indent", "slice", "wordwrap")


class TooMuch(Exception):
    """A template asked for more than a limit allows."""


class PromptEnvironment(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox with limits on what one operator may build."""

    intercepted_binops: ClassVar[frozenset[str]] = frozenset({"*", "**", "%"})  # type: ignore[misc]

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Refuse huge repetitions, powers and paddings before they are built."""
        if operator == "*":
            for one, other in ((left, right), (right, left)):
                if isinstance(one, str | list | tuple) and isinstance(other, int):
                    _at_most(len(one) * other, RENDERED_CHARS_MAX, "characters or items")
        elif operator == "**":
            _at_most(abs(right) if isinstance(right, int) else 0, 1000, "as an exponent")
        elif isinstance(left, str):
            _format_width(left)
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Also no string method that pads to any width."""
        return not (isinstance(obj, str) and attr in _WIDE_METHODS) and super().is_safe_attribute(
            obj, attr, value
        )


def _at_most(size: int, limit: int, unit: str) -> None:
    if size > limit:
        message = f"more than {limit:,} {unit}"
        raise TooMuch(message)


def _format_width(pattern: str) -> None:
    widths = re.findall(r"%[^a-zA-Z%]*?(\d{5,}|\*)", pattern)
    _at_most(len(widths) * (WIDTH_MAX + 1), WIDTH_MAX, "as a format width")


def _narrow(original: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose whole-number arguments may not exceed WIDTH_MAX."""
    takes_environment = hasattr(original, "jinja_pass_arg")

    def narrow(*args: Any, **options: Any) -> Any:
        for argument in (*args[2 if takes_environment else 1 :], *options.values()):
            if isinstance(argument, int):
                _at_most(argument, WIDTH_MAX, "as a width")
        return original(*args, **options)

    if takes_environment:
        narrow.jinja_pass_arg = original.jinja_pass_arg  # type: ignore[attr-defined]
    return narrow


def _tojson(value: Any, indent: int | None = None) -> str:
    """JSON for a reader: sorted keys; unlike Jinja's own, `<`, `&` and letters beyond ASCII stay what they are."""
    if isinstance(value, Undefined):
        str(value)  # a strict one raises the error that names it
    _at_most(indent or 0, WIDTH_MAX, "as a width")
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=indent)


def _guarded_format(pattern: Any, *args: Any, **options: Any) -> str:
    _format_width(str(pattern))
    return str(str(pattern) % (options or args))


@pass_context
def _charged(context: Context, items: Any) -> Any:
    """The items of a loop, charged to the loop budget before the first turn."""
    budget: list[int] = context.parent[_BUDGET]
    if isinstance(items, Undefined):
        return items  # the loop raises the error that names it
    if not isinstance(items, Sized):
        items = list(islice(items, budget[0] + 1))
    budget[0] -= len(items)
    if budget[0] < 0:
        message = f"more than {LOOPS_MAX:,} turns of its loops"
        raise TooMuch(message)
    return items


class _Guard(NodeTransformer):
    """Puts the budget on every loop and the carriage returns back."""

    def __init__(self, stand_in: str) -> None:
        self._stand_in = stand_in

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja's name
        node.iter = nodes.Filter(node.iter, "charged ", [], [], None, None, lineno=node.lineno)
        return self.generic_visit(node)

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:  # noqa: N802 - Jinja's name
        node.data = node.data.replace(self._stand_in, "\r")
        return node

    def visit_Const(self, node: nodes.Const) -> nodes.Node:  # noqa: N802 - Jinja's name
        if isinstance(node.value, str):
            node.value = node.value.replace(self._stand_in, "\r")
        return node


def _environment() -> PromptEnvironment:
    environment = PromptEnvironment(
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        finalize=lambda value: "" if value is None else value,
        cache_size=0,
    )
    # Same variables, same bytes: no chance in a prompt. And no state that a loop could grow without end.
    for name in ("lipsum", "namespace"):
        del environment.globals[name]
    del environment.filters["random"]
    environment.filters |= {name: _narrow(environment.filters[name]) for name in _WIDE_FILTERS}
    environment.filters |= {"charged ": _charged, "tojson": _tojson, "format": _guarded_format}
    return environment


_ENVIRONMENT: Final = _environment()


def is_static(template: str) -> bool:
    """Whether a template is only text: it renders to itself, byte for byte."""
    return _MARKUP.search(template) is None


def _parse(template: str) -> tuple[nodes.Template, str]:
    """The checked syntax tree and the stand-in for carriage returns in it.

    Raises:
        TemplateSyntaxError: also for what parses but can never render: includes, unknown filters and tests.
    """
    stand_in = next((char for char in _STAND_INS if char not in template), "\r")
    tree = _ENVIRONMENT.parse(re.sub(r"\r(?!\n)", stand_in, template.replace("\r\n", f"{stand_in}\n")))
    for kind, word in _LOADERS.items():
        for node in tree.find_all(kind):
            raise TemplateSyntaxError(f"{{% {word} %}} is not available: a prompt is one file", node.lineno)
    calls: tuple[tuple[Iterator[nodes.Filter | nodes.Test], Mapping[str, Any], str], ...] = (
        (tree.find_all(nodes.Filter), _ENVIRONMENT.filters, "filter"),
        (tree.find_all(nodes.Test), _ENVIRONMENT.tests, "test"),
    )
    for found, known, what in calls:
        for call in found:
            if call.name not in known:
                raise TemplateSyntaxError(f"no {what} named {call.name!r}", call.lineno)
    return tree, stand_in


@lru_cache(maxsize=4096)
def compiled(template: str) -> Template:
    """The compiled template; the gateway renders the same few for every request.

    Raises:
        TemplateSyntaxError: it does not parse.
    """
    tree, stand_in = _parse(template)
    return _ENVIRONMENT.from_string(_Guard(stand_in).visit(tree))


def render_text(template: str, values: Mapping[str, Any], *, chars_max: int = RENDERED_CHARS_MAX) -> str:
    """One rendered message.

    Raises:
        TemplateSyntaxError: the template does not parse.
        TooMuch: a limit is exceeded.
        Exception: whatever the template's expressions raise, most often jinja2.UndefinedError.
    """
    if is_static(template):
        _at_most(len(template), chars_max, "characters")
        return template
    pieces: list[str] = []
    left = chars_max
    for piece in compiled(template).generate({**values, _BUDGET: [LOOPS_MAX]}):
        left -= len(piece)
        _at_most(chars_max - left, chars_max, "characters")
        pieces.append(piece)
    return "".join(pieces)


def template_error(template: str) -> tuple[int, str] | None:
    """(1-based line inside the template, what is wrong) of a template that cannot be compiled; None: it can."""
    if is_static(template):
        return None
    try:
        compiled(template)
    except TemplateSyntaxError as error:
        return error.lineno, error.message or "syntax error"
    except RecursionError:
        return 1, "nested too deeply"
    return None


def variables_used(template: str) -> set[str]:
    """Names a template takes from its variables; empty when it does not parse (see `template_error`)."""
    return set() if (tree := _tree(template)) is None else _free(tree)


def _tree(template: str) -> nodes.Template | None:
    if is_static(template) or template_error(template):
        return None
    return _parse(template)[0]


def _free(tree: nodes.Template) -> set[str]:
    return meta.find_undeclared_variables(tree) - set(_ENVIRONMENT.globals)


def infer_variables(templates: Iterable[str]) -> dict[str, dict[str, str]]:
    """Declarations for templates nobody declared variables for.

    Every name used, required; what is looped over is an array, what is looked into an object, everything else a string.
    """
    found: dict[str, str] = {}
    for tree in filter(None, map(_tree, templates)):
        shapes = dict(_shapes(tree))
        for name in sorted(_free(tree)):
            shape = shapes.get(name, "string")
            if found.get(name, "string") == "string":
                found[name] = shape
    return {name: {"type": found[name]} for name in sorted(found)}


def _shapes(tree: nodes.Template) -> Iterator[tuple[str, str]]:
    for loop in tree.find_all(nodes.For):
        if isinstance(loop.iter, nodes.Name):
            yield loop.iter.name, "array"
    looks: list[nodes.Getattr | nodes.Getitem] = [
        *tree.find_all(nodes.Getattr),
        *tree.find_all(nodes.Getitem),
    ]
    for look in looks:
        if isinstance(look.node, nodes.Name):
            yield look.node.name, "object"


__all__ = [
    "LOOPS_MAX",
    "RENDERED_CHARS_MAX",
    "TooMuch",
    "compiled",
    "infer_variables",
    "is_static",
    "render_text",
    "template_error",
    "variables_used",
]
