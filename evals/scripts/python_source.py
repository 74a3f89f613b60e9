"""Reading Python code of a suite: inline code becomes a function. Standard library only; runs on both sides of the socket."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Sequence
from functools import lru_cache
from types import CodeType
from typing import Final

INLINE_FUNCTION: Final = "inline"
INLINE_NAME: Final = "<python>"


def parsed_inline(code: str, names: Sequence[str]) -> ast.Module:
    """A module with one function of these names. The code is an expression, or statements that `return`; it may `await`.

    Raises:
        SyntaxError: the code is not Python.
        ValueError: it holds a null character.
    """
    code = textwrap.dedent(code).strip()
    module = ast.parse(f"def {INLINE_FUNCTION}({', '.join(names)}): pass", INLINE_NAME)
    function = module.body[0]
    assert isinstance(function, ast.FunctionDef)  # noqa: S101 - it is the line above
    try:
        expression = ast.parse(code, INLINE_NAME, mode="eval").body
    except SyntaxError:
        function.body = ast.parse(code, INLINE_NAME).body or function.body
    else:
        function.body = [ast.copy_location(ast.Return(expression), expression)]
    if _awaits(function.body):
        fields = {name: getattr(function, name) for name in function._fields}
        module.body = [ast.copy_location(ast.AsyncFunctionDef(**fields), function)]
    return module


def _awaits(body: Sequence[ast.AST]) -> bool:
    """Whether code awaits something itself, not in a function inside it."""
    for node in body:
        if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith):
            return True
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if _awaits(list(ast.iter_child_nodes(node))):
            return True
    return False


@lru_cache(maxsize=512)
def compiled_inline(code: str, names: tuple[str, ...]) -> CodeType:
    """The code object of `parsed_inline`; it is run in a fresh namespace each time."""
    return compile(parsed_inline(code, names), INLINE_NAME, "exec")


def syntax_error(code: str, names: tuple[str, ...] | None) -> tuple[str, int] | None:
    """What is no Python in a file, or in inline code with these names, and its line; None: it can be compiled."""
    try:
        if names is None:
            compile(code, INLINE_NAME, "exec")
        else:
            compiled_inline(code, names)
    except SyntaxError as error:
        return error.msg, error.lineno or 0
    except ValueError as error:
        return str(error), 0
    return None
