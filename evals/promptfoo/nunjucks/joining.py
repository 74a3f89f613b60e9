"""Templates made of several files: `include`, `import`, `extends` and the blocks that an heir replaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from promptship.evals.promptfoo.nunjucks import nodes
from promptship.evals.promptfoo.nunjucks.running import Run, Scope
from promptship.evals.promptfoo.nunjucks.values import UNDEFINED, Safe, TemplateError, text

Statement = Callable[[Run], None]
Value = Callable[[Run], Any]


@dataclass(frozen=True, slots=True)
class Template:
    """A template ready to be rendered. `mutates`: it may change its variables, so it must be given copies."""

    render: Statement
    mutates: bool
    blocks: Mapping[str, Statement] = field(default_factory=dict)
    extends: bool = False


def whole(template: Template, run: Run) -> None:
    """Render a template; of one that extends another, the other one with its blocks."""
    while True:
        for name, block in template.blocks.items():
            run.blocks.setdefault(name, []).append(block)
        if not template.extends:
            template.render(run)
            return
        run.parent = None
        said = run.captured(template.render)
        if run.parent is None:
            run.print(said)
            return
        run.step()
        template, run.parent = run.parent, None


def block(name: str, body: Statement) -> Statement:
    """`{% block %}`, in its place."""

    def inside(run: Run) -> None:
        if run.parent is None:
            _bodied(run, run.blocks.get(name) or [body])

    return inside


def _bodied(run: Run, bodies: list[Statement]) -> None:
    outside, run.scope = run.scope, Scope(run.scope, sealed=True)
    if len(bodies) > 1:
        run.scope.names["super"] = lambda: Safe(run.captured(lambda again: _bodied(again, bodies[1:])))
    try:
        bodies[0](run)
    finally:
        run.scope = outside


def extends(file: Value) -> Statement:
    """`{% extends %}`: what follows counts for its blocks only."""

    def inherit(run: Run) -> None:
        run.parent = _loaded(run, file(run))

    return inherit


def include(file: Value, *, optional: bool) -> Statement:
    """`{% include %}`: sees everything that is seen here; what it sets stays inside."""

    def write(run: Run) -> None:
        template = _loaded(run, file(run), optional=optional)
        if template is None:
            return
        scope, blocks, parent = run.scope, run.blocks, run.parent
        run.scope, run.blocks, run.parent = Scope(scope, sealed=True), {}, None
        try:
            whole(template, run)
        finally:
            run.scope, run.blocks, run.parent = scope, blocks, parent

    return write


def imported(node: nodes.Import, file: Value) -> Statement:
    """`{% import %}` and `{% from %}`: macros, and what is set at the top."""

    def bind(run: Run) -> None:
        name = file(run)
        module = _module(run, _loaded(run, name), with_context=node.with_context)
        found = {node.module: module} if node.module else {}
        for own, told in node.names:
            if own not in module:
                raise TemplateError(f"{text(name)} has no {own} to import")
            found[told] = module[own]
        for told, value in found.items():
            run.scope.assign(told, value)
            if run.scope is run.top:
                run.variables[told] = value

    return bind


def _module(run: Run, template: Template, *, with_context: bool) -> dict[str, Any]:
    before = {**run.variables, **_seen(run)} if with_context else {}
    inner = run.beside(dict(before))
    inner.captured(lambda other: whole(template, other))
    return {
        name: value
        for name, value in inner.variables.items()
        if not name.startswith("_") and (name not in before or before[name] is not value)
    }


def _seen(run: Run) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for scope in run.scope.outwards():
        seen = {**scope.names, **seen}
    return seen


def _loaded(run: Run, name: Any, *, optional: bool = False) -> Any:
    """The template in a file; None only when it is optional. Raises TemplateError."""
    run.step()
    if not isinstance(name, str):
        raise TemplateError(f"{text(name) if name is not UNDEFINED else 'nothing'} is no name of a template")
    template = None if run.load is None else run.load(name)
    if template is None and not optional:
        raise TemplateError(f"there is no template {name}")
    return template


def joins(node: nodes.Node) -> bool:
    """Whether a tree brings in other templates."""
    if isinstance(node, nodes.Include | nodes.Import | nodes.Extends):
        return True
    return any(map(joins, nodes.children(node)))


def blocks_of(node: nodes.Node) -> Iterator[nodes.Block]:
    """Every block of a tree, those inside of blocks too."""
    if isinstance(node, nodes.Block):
        yield node
    for child in nodes.children(node):
        yield from blocks_of(child)


def has_extends(node: nodes.Node) -> bool:
    """Whether a tree may extend another template."""
    return isinstance(node, nodes.Extends) or any(map(has_extends, nodes.children(node)))
