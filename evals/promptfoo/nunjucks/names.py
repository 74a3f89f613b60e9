"""Which variables a template uses, and what of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from promptship.evals.promptfoo.nunjucks import nodes


@dataclass(frozen=True, slots=True)
class Use:
    """What a template does with an object."""

    keys: tuple[str, ...]
    """What it looks up in it by a name that stands in the template, in order."""
    filtered: bool
    """Whether it has a filter somewhere."""


def use_of(tree: nodes.Node, name: str) -> Use | None:
    """How a tree uses the members of a variable; None: it looks up none of them."""
    every = list(_every(tree))
    members = [node for node in every if isinstance(node, nodes.Member) and node.target == nodes.Name(name)]
    if not members:
        return None
    keys = (node.key.value for node in members if isinstance(node.key, nodes.Literal))
    return Use(
        tuple(key for key in keys if isinstance(key, str)),
        any(isinstance(node, nodes.Filter) for node in every),
    )


def _every(node: nodes.Node) -> Iterator[nodes.Node]:
    """A node and all below it, in the order of the text."""
    yield node
    for child in nodes.children(node):
        yield from _every(child)


def refers_to(node: nodes.Node, name: str) -> bool:
    """Whether a tree takes a name from its variables: not what it sets itself, loops over, or names a parameter."""
    match node:
        case nodes.Name(name=own):
            return own == name
        case nodes.Body(items=items):
            return _in_order(items, name)
        case nodes.For(names=names, items=looped, body=body, otherwise=otherwise):
            inside = name not in names and refers_to(body, name)
            return refers_to(looped, name) or inside or refers_to(otherwise, name)
        case nodes.Macro(name=own, signature=signature, body=body):
            return _in_signature(signature, name) or (
                name not in {own, *_parameters(signature)} and refers_to(body, name)
            )
        case nodes.CallBlock(signature=signature, body=body):
            return _in_signature(signature, name) or (
                name not in _parameters(signature) and refers_to(body, name)
            )
    return any(refers_to(child, name) for child in nodes.children(node))


def _in_order(items: tuple[nodes.Node, ...], name: str) -> bool:
    for item in items:
        if refers_to(item, name):
            return True
        if (isinstance(item, nodes.Set) and name in item.names) or (
            isinstance(item, nodes.Macro) and item.name == name
        ):
            return False
    return False


def _parameters(signature: nodes.Arguments) -> set[str]:
    return {one.name for one in signature.positional if isinstance(one, nodes.Name)} | set(signature.names)


def _in_signature(signature: nodes.Arguments, name: str) -> bool:
    bound = {one.name for one in signature.positional if isinstance(one, nodes.Name)}
    for own, value in zip(signature.names, signature.values, strict=True):
        if name not in bound and refers_to(value, name):
            return True
        bound.add(own)
    return False
