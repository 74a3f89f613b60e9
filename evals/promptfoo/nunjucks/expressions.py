"""Tokens -> expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from promptship.evals.promptfoo.nunjucks import nodes
from promptship.evals.promptfoo.nunjucks.lexer import Kind, Token
from promptship.evals.promptfoo.nunjucks.values import TemplateError

_COMPARISONS: Final = frozenset({"==", "===", "!=", "!==", "<", ">", "<=", ">="})
_LEVELS: Final = ("~", "+", "-", "*", "/", "//", "%", "**")
"""From loosest to tightest: every operator has a level of its own."""


class ExpressionParser:
    """Reads expressions from a stream of tokens, one token ahead."""

    def __init__(self, stream: Iterator[Token]) -> None:
        self._stream = stream
        self._ahead: list[Token] = []
        self.line = 1

    # Tokens

    def peek(self) -> Token | None:
        """The next token, which stays there; None: the text has ended."""
        if not self._ahead:
            token = next(self._stream, None)
            if token is None:
                return None
            self._ahead.append(token)
        self.line = self._ahead[-1].line
        return self._ahead[-1]

    def take(self) -> Token:
        """The next token. Raises TemplateError at the end of the text."""
        token = self.peek()
        if token is None:
            raise self.error("unexpected end of the text")
        self._ahead.pop()
        return token

    def skip(self, kind: Kind, value: str) -> bool:
        """Whether the next token is this one; if so it is taken."""
        token = self.peek()
        if token is None or token.kind is not kind or token.value != value:
            return False
        self._ahead.pop()
        return True

    def operator(self, value: str) -> bool:
        """Skip an operator."""
        return self.skip(Kind.OPERATOR, value)

    def word(self, value: str) -> bool:
        """Skip a name."""
        return self.skip(Kind.NAME, value)

    def name(self) -> str:
        """A name that must be here."""
        token = self.take()
        if token.kind is not Kind.NAME:
            raise TemplateError(f"expected a name, got {token.value}", token.line)
        return str(token.value)

    def expect(self, value: str) -> None:
        """An operator that must be here."""
        if not self.operator(value):
            token = self.peek()
            got = "the end of the text" if token is None else str(token.value)
            raise self.error(f"expected {value!r}, got {got!r}")

    def error(self, message: str) -> TemplateError:
        """An error in the line of the last token."""
        return TemplateError(message, self.line)

    # Expressions, from loosest to tightest

    def expression(self) -> nodes.Node:
        """A whole expression."""
        node = self._either()
        if not self.word("if"):
            return node
        condition = self._either()
        otherwise = self._either() if self.word("else") else nodes.Literal("")
        return nodes.Choice(node, condition, otherwise)

    def _either(self) -> nodes.Node:
        return self._chain("or", self._both)

    def _both(self) -> nodes.Node:
        return self._chain("and", self._not)

    def _chain(self, word: str, tighter: Callable[[], nodes.Node]) -> nodes.Node:
        node = tighter()
        while self.word(word):
            node = nodes.Binary(word, node, tighter())
        return node

    def _not(self) -> nodes.Node:
        return nodes.Unary("not", self._not()) if self.word("not") else self._in()

    def _in(self) -> nodes.Node:
        node = self._is()
        while True:
            not_ahead = self.peek()
            inverted = self.word("not")
            if not self.word("in"):
                if inverted and not_ahead is not None:
                    raise TemplateError("expected 'in' after 'not'", not_ahead.line)
                return node
            node = nodes.Contains(node, self._is())
            node = nodes.Unary("not", node) if inverted else node

    def _is(self) -> nodes.Node:
        node = self._comparison()
        if not self.word("is"):
            return node
        inverted = self.word("not")
        test = self._test(node, self._comparison())
        return nodes.Unary("not", test) if inverted else test

    def _test(self, value: nodes.Node, said: nodes.Node) -> nodes.Test:
        arguments = said.arguments if isinstance(said, nodes.Call) else nodes.Arguments()
        said = said.target if isinstance(said, nodes.Call) else said
        if isinstance(said, nodes.Name | nodes.Filter):  # a filter on the name of a test takes its place
            return nodes.Test(value, said.name, arguments, self.line)
        if isinstance(said, nodes.Literal):
            name = "null" if said.value is None else str(said.value)
            return nodes.Test(value, name, arguments, self.line)
        return nodes.Test(value, "undefined", arguments, self.line)  # what Nunjucks makes of anything else

    def _comparison(self) -> nodes.Node:
        node = self._level(0)
        while (
            (token := self.peek()) is not None and token.kind is Kind.OPERATOR and token.value in _COMPARISONS
        ):
            self.take()
            node = nodes.Binary(token.value, node, self._level(0))
        return node

    def _level(self, level: int) -> nodes.Node:
        if level == len(_LEVELS):
            return self._unary()
        node = self._level(level + 1)
        while self.operator(_LEVELS[level]):
            node = nodes.Binary(_LEVELS[level], node, self._level(level + 1))
        return node

    def _unary(self) -> nodes.Node:
        return self.filters(self._signed())

    def _signed(self) -> nodes.Node:
        for sign in "-+":
            if self.operator(sign):
                return nodes.Unary(sign, self._signed())
        return self.primary()

    def filters(self, node: nodes.Node) -> nodes.Node:
        """`| name(arguments)`, as often as it is there."""
        while self.operator("|"):
            node = self.filter(node)
        return node

    def filter(self, value: nodes.Node) -> nodes.Filter:
        """One filter, without its bar."""
        name = self.name()
        line = self.line
        while self.operator("."):
            name += f".{self.name()}"
        token = self.peek()
        called = token is not None and token.kind is Kind.OPERATOR and token.value == "("
        return nodes.Filter(name, value, self.arguments() if called else nodes.Arguments(), line)

    def primary(self) -> nodes.Node:
        """A value with everything that is looked up in it and called on it."""
        token = self.take()
        match token.kind:
            case Kind.STRING | Kind.NUMBER | Kind.CONSTANT | Kind.PATTERN:
                node: nodes.Node = nodes.Literal(token.value)
            case Kind.NAME:
                node = nodes.Name(token.value)
            case Kind.OPERATOR if token.value in "([{":
                node = self._aggregate(token.value)
            case _:
                raise TemplateError(f"expected a value, got {token.value}", token.line)
        return self._postfix(node)

    def _postfix(self, node: nodes.Node) -> nodes.Node:
        while (token := self.peek()) is not None and token.kind is Kind.OPERATOR:
            if token.value == "(":
                node = nodes.Call(node, self.arguments(), token.line)
            elif token.value == "[":
                self.take()
                node = nodes.Member(node, self.expression())
                self.expect("]")
            elif token.value == ".":
                self.take()
                node = nodes.Member(node, nodes.Literal(self._member()))
            else:
                break
        return node

    def _member(self) -> str:
        token = self.take()
        if token.kind is not Kind.NAME:
            raise TemplateError(f"expected a name after '.', got {token.value}", token.line)
        return str(token.value)

    def _aggregate(self, opening: str) -> nodes.Node:
        closing = {"(": ")", "[": "]", "{": "}"}[opening]
        names: list[str] = []
        items: list[nodes.Node] = []
        while not self.operator(closing):
            if items:
                self.expect(",")
            if opening == "{":
                names.append(self._key())
                self.expect(":")
            items.append(self.expression())
        if opening == "{":
            return nodes.DictOf(tuple(names), tuple(items))
        return nodes.ArrayOf(tuple(items)) if opening == "[" else nodes.Brackets(tuple(items))

    def _key(self) -> str:
        key = self.primary()
        if isinstance(key, nodes.Name):
            return key.name
        if isinstance(key, nodes.Literal) and isinstance(key.value, str):
            return key.value
        raise self.error("the keys of an object must be strings or names")

    def arguments(self) -> nodes.Arguments:
        """`(a, b=c)`."""
        self.expect("(")
        positional: list[nodes.Node] = []
        names: list[str] = []
        values: list[nodes.Node] = []
        while not self.operator(")"):
            if positional or names:
                self.expect(",")
            argument = self.expression()
            if self.operator("="):
                if not isinstance(argument, nodes.Name):
                    raise self.error("expected a name before '='")
                names.append(argument.name)
                values.append(self.expression())
            else:
                positional.append(argument)
        return nodes.Arguments(tuple(positional), tuple(names), tuple(values))
