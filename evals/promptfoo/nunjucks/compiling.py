"""The tree of a template -> closures that render it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from promptship.evals.promptfoo import javascript_text
from promptship.evals.promptfoo.nunjucks import joining, nodes
from promptship.evals.promptfoo.nunjucks.evaluating import Value, expression
from promptship.evals.promptfoo.nunjucks.joining import Template
from promptship.evals.promptfoo.nunjucks.members import MUTATORS, member
from promptship.evals.promptfoo.nunjucks.parser import parse
from promptship.evals.promptfoo.nunjucks.running import Parameters, Run, Scope
from promptship.evals.promptfoo.nunjucks.values import (
    UNDEFINED,
    Safe,
    TemplateError,
    same,
    shown,
    text,
    truthy,
)

Statement = Callable[[Run], None]


def compiled(source: str) -> Template:
    """Raises TemplateError."""
    tree = parse(source)
    try:
        blocks: dict[str, Statement] = {}
        for node in joining.blocks_of(tree):
            if node.name in blocks:
                raise TemplateError(f"block {node.name} stands here twice")
            blocks[node.name] = _body(node.body)
        mutates = _mutates(tree) or joining.joins(tree)  # nobody knows what is in other files
        return Template(_body(tree), mutates, blocks, joining.has_extends(tree))
    except RecursionError:
        raise TemplateError("nested too deeply") from None


def _mutates(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Member):
        key = node.key
        if not isinstance(key, nodes.Literal) or key.value in MUTATORS:
            return True
    return any(map(_mutates, nodes.children(node)))


def _body(body: nodes.Body) -> Statement:
    statements = tuple(map(_statement, body.items))
    if len(statements) == 1:
        return statements[0]

    def run_all(run: Run) -> None:
        for statement in statements:
            statement(run)

    return run_all


def _statement(node: nodes.Node) -> Statement:
    match node:
        case nodes.Text(text=content):
            return lambda run: run.print(content)
        case nodes.Print(value=value):
            return _print(_value(value))
        case nodes.Body():
            return _body(node)
        case nodes.If():
            return _if(node)
        case nodes.For():
            return _for(node)
        case nodes.Set(names=names, value=value):
            return _set(names, _value(value))
        case nodes.Macro():
            return _macro(node)
        case nodes.Switch():
            return _switch(node)
        case nodes.Block(name=name, body=body):
            return joining.block(name, _body(body))
        case nodes.Include(file=file, optional=optional):
            return joining.include(_value(file), optional=optional)
        case nodes.Extends(file=file):
            return joining.extends(_value(file))
        case nodes.Import(file=file):
            return joining.imported(node, _value(file))
    raise TemplateError(f"cannot render {type(node).__name__}")


def _value(node: nodes.Node) -> Value:
    return expression(node, _block_value)


def _block_value(node: nodes.Node) -> Value | None:
    """Values made of statements: what a block prints, and the caller of a macro."""
    if isinstance(node, nodes.Printed):
        body = _body(node.body)
        return lambda run: run.captured(body)
    return _call_block(node) if isinstance(node, nodes.CallBlock) else None


def _print(value: Value) -> Statement:
    def write(run: Run) -> None:
        run.print(shown(value(run)))

    return write


def _if(node: nodes.If) -> Statement:
    condition, body, otherwise = _value(node.condition), _body(node.body), _body(node.otherwise)

    def choose(run: Run) -> None:
        (body if truthy(condition(run)) else otherwise)(run)

    return choose


def _set(names: tuple[str, ...], value: Value) -> Statement:
    def assign(run: Run) -> None:
        what = value(run)
        for name in names:
            run.scope.assign(name, what)
            if run.scope is run.top:
                run.variables[name] = what

    return assign


def _switch(node: nodes.Switch) -> Statement:
    value, default = _value(node.value), _body(node.default)
    cases = [(_value(case.value), _body(case.body), bool(case.body.items)) for case in node.cases]

    def choose(run: Run) -> None:
        wanted = value(run)
        found = False
        for case, body, has_body in cases:
            found = found or same(wanted, case(run))
            if found and has_body:  # an empty case falls through to the next
                body(run)
                return
        default(run)

    return choose


# Loops


def _for(node: nodes.For) -> Statement:
    items, body, otherwise = _value(node.items), _body(node.body), _body(node.otherwise)
    names = node.names

    def loop(run: Run) -> None:
        outside, run.scope = run.scope, Scope(run.scope)
        try:
            rows = _rows(items(run), names)
            run.step(len(rows))
            bound = run.scope.names
            for index, row in enumerate(rows):
                bound.update(row)
                bound["loop"] = _loop(index, len(rows))
                body(run)
            if not rows:
                otherwise(run)
        finally:
            run.scope = outside

    return loop


def _loop(index: int, length: int) -> dict[str, Any]:
    return {
        "index": index + 1, "index0": index, "revindex": length - index, "revindex0": length - index - 1,
        "first": index == 0, "last": index == length - 1, "length": length,
    }  # fmt: skip


def _rows(items: Any, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """What the names of a loop are bound to, turn by turn."""
    if not truthy(items):
        return []
    if len(names) == 1:
        return [{names[0]: item} for item in items] if isinstance(items, str | list | tuple) else []
    if isinstance(items, list | tuple):
        return [_unpacked(item, names) for item in items]
    if isinstance(items, Mapping):
        return [{names[0]: text(key), names[1]: items[key]} for key in javascript_text.keys(items)]
    return (
        [{names[0]: str(at), names[1]: char} for at, char in enumerate(items)]
        if isinstance(items, str)
        else []
    )


def _unpacked(item: Any, names: tuple[str, ...]) -> dict[str, Any]:
    if item is None or item is UNDEFINED:
        raise TemplateError(f"a loop cannot take {', '.join(names)} out of {text(item)}")
    return {name: member(item, at) for at, name in enumerate(names)}


# Macros


def _macro(node: nodes.Macro) -> Statement:
    make = _callable(node.signature, _body(node.body))

    def define(run: Run) -> None:
        called = make(run, Scope)
        names = run.variables if run.scope.outside is None else run.scope.names
        names[node.name] = called

    return define


def _call_block(node: nodes.CallBlock) -> Value:
    make = _callable(node.signature, _body(node.body))

    def value(run: Run) -> Any:
        # It sees the scopes of its place, and of the macro that calls it.
        seen: dict[str, Any] = {}
        for scope in run.scope.outwards():
            seen = {**scope.names, **seen}

        def around() -> Scope:
            inner = Scope(run.scope, sealed=True)
            inner.names.update(seen)
            return inner

        return make(run, around)

    return value


def _callable(
    signature: nodes.Arguments, body: Statement
) -> Callable[[Run, Callable[[], Scope]], Callable[..., Any]]:
    names = tuple(argument.name for argument in signature.positional if isinstance(argument, nodes.Name))
    parameters = Parameters(names, signature.names)
    defaults = tuple(zip(signature.names, map(_value, signature.values), strict=True))

    def make(run: Run, scope: Callable[[], Scope]) -> Callable[..., Any]:
        def function(*given: Any) -> Any:
            values, named = parameters.bound(given)
            run.step()
            outside, run.scope = run.scope, scope()
            try:
                known = run.scope.names
                if "caller" in named:
                    known["caller"] = named["caller"]
                known.update(zip(names, values, strict=True))
                for name, default in defaults:
                    known[name] = named[name] if name in named else default(run)
                return Safe(run.captured(body))
            finally:
                run.scope = outside

        return function

    return make
