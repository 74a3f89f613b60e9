"""Expressions -> closures.

Nunjucks writes its operators into JavaScript without brackets, so JavaScript's precedence decides, not the template's:
`not a == b` is `(!a) == b`. Here every expression is therefore flattened into operands and operators and read once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from promptship.evals.promptfoo.nunjucks import nodes, values
from promptship.evals.promptfoo.nunjucks.filters import named_test
from promptship.evals.promptfoo.nunjucks.members import member
from promptship.evals.promptfoo.nunjucks.running import Run, limited
from promptship.evals.promptfoo.nunjucks.values import UNDEFINED, Keywords, TemplateError, truthy

Value = Callable[[Run], Any]
Inner = Callable[[nodes.Node], "Value | None"]
"""Compiles what only statements know: blocks as values."""
_Flat = list["str | Value"]

_JAVASCRIPT: Final = {"or": "||", "and": "&&", "not": "!"}
_PRECEDENCE: Final[Mapping[str, int]] = {
    "||": 1, "&&": 2, "==": 3, "!=": 3, "===": 3, "!==": 3, "<": 4, ">": 4, "<=": 4, ">=": 4,
    "+": 5, "-": 5, "*": 6, "/": 6, "%": 6,
}  # fmt: skip
_OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "==": values.equal,
    "!=": lambda left, right: not values.equal(left, right),
    "===": values.same,
    "!==": lambda left, right: not values.same(left, right),
    "<": values.less,
    ">": lambda left, right: values.less(right, left),
    "<=": values.not_more,
    ">=": lambda left, right: values.not_more(right, left),
    "+": lambda left, right: limited(values.add(left, right)),
    "-": lambda left, right: values.calculate("-", left, right),
    "*": lambda left, right: values.calculate("*", left, right),
    "/": lambda left, right: values.calculate("/", left, right),
    "%": lambda left, right: values.calculate("%", left, right),
}


def expression(node: nodes.Node, inner: Inner) -> Value:
    """The value of an expression, as a closure. Raises TemplateError."""
    return _Compiler(inner).value(node)


class _Compiler:
    def __init__(self, inner: Inner) -> None:
        self._inner = inner

    def value(self, node: nodes.Node) -> Value:
        """An expression that stands in brackets, between commas or alone."""
        if isinstance(node, nodes.Unary | nodes.Binary | nodes.Test):
            flat = self._flat(node)
            return _climbed(flat, 0)
        return self._operand(node)

    def _flat(self, node: nodes.Node) -> _Flat:
        match node:
            case nodes.Unary(operator=operator, target=target):
                return [_JAVASCRIPT.get(operator, operator), *self._flat(target)]
            case nodes.Binary(operator="~", left=left, right=right):
                return [*self._flat(left), "+", lambda _: "", "+", *self._flat(right)]
            case nodes.Binary(operator="//", left=left, right=right):
                quotient = _climbed([*self._flat(left), "/", *self._flat(right)], 0)
                return [lambda run: values.floor(quotient(run))]
            case nodes.Binary(operator="**", left=left, right=right):
                base, exponent = self.value(left), self.value(right)
                return [lambda run: values.calculate("**", base(run), exponent(run))]
            case nodes.Binary(operator=operator, left=left, right=right):
                return [*self._flat(left), _JAVASCRIPT.get(operator, operator), *self._flat(right)]
            case nodes.Test():
                return [self._test(node), "===", lambda _: True]
        return [self._operand(node)]

    def _operand(self, node: nodes.Node) -> Value:
        match node:
            case nodes.Literal(value=value):
                return lambda _: value
            case nodes.Name(name=name):
                return lambda run: run.find(name)
            case nodes.Member(target=target, key=key):
                return self._member(target, key)
            case nodes.Filter():
                return self._filter(node)
            case nodes.Call():
                return self._call(node)
            case nodes.Choice():
                return self._choice(node)
            case nodes.Contains(item=item, container=container):
                one, many = self.value(item), self.value(container)
                return lambda run: _contains(one(run), many(run))
            case nodes.Brackets(items=items):
                return self._brackets(items)
            case nodes.ArrayOf(items=items):
                compiled = tuple(map(self.value, items))
                return lambda run: [item(run) for item in compiled]
            case nodes.DictOf(names=names, values=items):
                pairs = tuple(zip(names, map(self.value, items), strict=True))
                return lambda run: {name: item(run) for name, item in pairs}
        if (special := self._inner(node)) is not None:
            return special
        return self.value(node)

    def _member(self, target: nodes.Node, key: nodes.Node) -> Value:
        of = self.value(target)
        if isinstance(key, nodes.Literal):
            name = key.value
            return lambda run: member(of(run), name)
        at = self.value(key)
        return lambda run: member(of(run), at(run))

    def _brackets(self, items: tuple[nodes.Node, ...]) -> Value:
        if not items:
            raise TemplateError("empty brackets")
        compiled = tuple(map(self.value, items))
        return compiled[0] if len(compiled) == 1 else lambda run: [item(run) for item in compiled][-1]

    def _choice(self, node: nodes.Choice) -> Value:
        condition, body = self.value(node.condition), self.value(node.body)
        otherwise = self.value(node.otherwise)
        return lambda run: (body if truthy(condition(run)) else otherwise)(run)

    def _arguments(self, arguments: nodes.Arguments) -> Callable[[Run], list[Any]]:
        positional = tuple(map(self.value, arguments.positional))
        keywords = tuple(zip(arguments.names, map(self.value, arguments.values), strict=True))

        def given(run: Run) -> list[Any]:
            made = [argument(run) for argument in positional]
            if keywords:
                made.append(Keywords((name, value(run)) for name, value in keywords))
            return made

        return given

    def _filter(self, node: nodes.Filter) -> Value:
        value, arguments, name = self.value(node.value), self._arguments(node.arguments), node.name

        def filtered(run: Run) -> Any:
            function = run.filters.get(name)
            if function is None:
                raise TemplateError(f"there is no filter {name}", node.line)
            return _called(function, f"filter {name}", node.line, [value(run), *arguments(run)])

        return filtered

    def _call(self, node: nodes.Call) -> Value:
        target, arguments, name = (
            self.value(node.target),
            self._arguments(node.arguments),
            _named(node.target),
        )

        def call(run: Run) -> Any:
            function = target(run)
            if not truthy(function):
                raise TemplateError(f"{name} cannot be called: it has no value", node.line)
            if not callable(function):
                raise TemplateError(f"{name} is no function", node.line)
            return _called(function, name, node.line, arguments(run))

        return call

    def _test(self, node: nodes.Test) -> Value:
        value, arguments, test = (
            self.value(node.value),
            self._arguments(node.arguments),
            named_test(node.name),
        )

        def tested(run: Run) -> bool:
            given = arguments(run)
            return test(value(run), given[0] if given else UNDEFINED)

        return tested


def _called(function: Callable[..., Any], name: str, line: int, arguments: list[Any]) -> Any:
    try:
        return function(*arguments)
    except TemplateError as error:
        raise error if error.line else TemplateError(error.reason, line) from None
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, ArithmeticError) as error:
        # Built-in functions check what they work on; what is left are arguments that JavaScript would refuse, too.
        raise TemplateError(
            f"{name} cannot work with these arguments ({type(error).__name__})", line
        ) from None


def _contains(item: Any, container: Any) -> bool:
    if isinstance(container, str):
        return values.text(item) in container
    if isinstance(container, list | tuple):
        return any(values.same(one, item) for one in container)
    if isinstance(container, Mapping):
        return values.text(item) in map(values.text, container)
    raise TemplateError(
        f"'in' needs a text, an array or an object to look into, got {values.text(container)[:40]}"
    )


def _named(node: nodes.Node) -> str:
    """What is called, as a message names it."""
    match node:
        case nodes.Name(name=name):
            return name
        case nodes.Member(target=target, key=nodes.Literal(value=key)):
            return f"{_named(target)}.{values.text(key)}"
        case nodes.Member(target=target):
            return f"a member of {_named(target)}"
        case nodes.Call(target=target):
            return f"what {_named(target)} gives"
    return "this value"


# JavaScript's precedence


def _climbed(flat: _Flat, loosest: int) -> Value:
    """Takes an expression off the front of `flat`, up to an operator that binds less than `loosest`."""
    left = _prefixed(flat)
    while flat:
        operator = flat[0]
        precedence = _PRECEDENCE[operator] if isinstance(operator, str) else 0
        if not isinstance(operator, str) or precedence < loosest:
            break
        flat.pop(0)
        left = _joined(operator, left, _climbed(flat, precedence + 1))
    return left


def _prefixed(flat: _Flat) -> Value:
    first = flat.pop(0)
    if not isinstance(first, str):
        return first
    target = _prefixed(flat)
    if first == "!":
        return lambda run: not truthy(target(run))
    sign = 1 if first == "+" else -1
    return lambda run: values.tidy(sign * values.number(target(run)))


def _joined(operator: str, left: Value, right: Value) -> Value:
    if operator == "||":
        return lambda run: first if truthy(first := left(run)) else right(run)
    if operator == "&&":
        return lambda run: right(run) if truthy(first := left(run)) else first
    function = _OPERATORS[operator]
    return lambda run: function(left(run), right(run))
