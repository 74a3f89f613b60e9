"""Tokens -> the tree of a template."""

from __future__ import annotations

from typing import Final

from promptship.evals.promptfoo.nunjucks import nodes
from promptship.evals.promptfoo.nunjucks.expressions import ExpressionParser
from promptship.evals.promptfoo.nunjucks.lexer import Kind, Token, tokens
from promptship.evals.promptfoo.nunjucks.values import SPACE, TemplateError

_LOOPS: Final = {"for": "endfor", "asyncEach": "endeach", "asyncAll": "endall"}
_NOTHING: Final = nodes.Body(())


class _Parser(ExpressionParser):
    def __init__(self, source: str) -> None:
        super().__init__(tokens(source))
        self._trims = False
        """The tag before the next text ended with a minus."""

    # Bodies

    def body(self, *ends: str) -> nodes.Body:
        """Statements up to a tag that is one of the ends, whose name is next; without ends: up to the end of the text."""
        items: list[nodes.Node] = []
        while (token := self.peek()) is not None:
            self.take()
            if token.kind is Kind.TEXT:
                items.append(nodes.Text(self._trimmed(token.value)))
            elif token.kind is Kind.COMMENT:
                self._trims = token.value.endswith("-#}")
            elif token.kind is Kind.PRINT_OPENS:
                items.append(nodes.Print(self.expression()))
                self._end_print()
            else:
                self._trims = False
                word = self.peek()
                if word is None or word.kind is not Kind.NAME:
                    raise self.error("expected the name of a tag")
                if word.value in ends:
                    break
                items.append(self._statement(self.name()))
        return nodes.Body(tuple(items))

    def _trimmed(self, text: str) -> str:
        if self._trims:
            text = text.lstrip(SPACE)
            self._trims = False
        following = self.peek()
        if following is not None and following.value[2:3] == "-" and following.kind is not Kind.TEXT:
            return text.rstrip(SPACE)
        return text

    def _end_print(self) -> None:
        token = self.peek()
        if token is None or token.kind is not Kind.PRINT_CLOSES:
            raise self.error("expected '}}'")
        self._trims = self.take().value.startswith("-")

    def _end_tag(self) -> None:
        token = self.peek()
        if token is None or token.kind is not Kind.TAG_CLOSES:
            raise self.error("expected '%}'")
        self._trims = self.take().value.startswith("-") or self._trims

    def _closing(self, name: str) -> None:
        if not self.word(name):
            raise self.error(f"expected {{% {name} %}}, got the end of the text")
        self._end_tag()

    # Statements

    def _statement(self, tag: str) -> nodes.Node:
        match tag:
            case "raw" | "verbatim":
                return self._raw()
            case "if" | "ifAsync":
                return self._if()
            case "for" | "asyncEach" | "asyncAll":
                return self._for(_LOOPS[tag])
            case "set":
                return self._set()
            case "macro":
                return self._macro()
            case "call":
                return self._call()
            case "filter":
                return self._filter()
            case "switch":
                return self._switch()
            case "block":
                return self._block()
            case "include":
                return self._include()
            case "extends":
                return self._extends()
            case "import":
                return self._import()
            case "from":
                return self._from()
        raise self.error(f"there is no tag {tag}")

    def _raw(self) -> nodes.Node:
        self._end_tag()
        token: Token = self.take()
        return nodes.Text(token.value)

    def _if(self) -> nodes.If:
        condition = self.expression()
        self._end_tag()
        body = self.body("elif", "elseif", "else", "endif")
        if self.word("elif") or self.word("elseif"):
            return nodes.If(condition, body, nodes.Body((self._if(),)))
        otherwise = _NOTHING
        if self.word("else"):
            self._end_tag()
            otherwise = self.body("endif")
        self._closing("endif")
        return nodes.If(condition, body, otherwise)

    def _for(self, end: str) -> nodes.For:
        names = [self.name()]
        while self.operator(","):
            names.append(self.name())
        if not self.word("in"):
            raise self.error("expected 'in' in a loop")
        items = self.expression()
        self._end_tag()
        body, otherwise = self.body(end, "else"), _NOTHING
        if self.word("else"):
            self._end_tag()
            otherwise = self.body(end)
        self._closing(end)
        return nodes.For(tuple(names), items, body, otherwise)

    def _set(self) -> nodes.Set:
        names = [self.name()]
        while self.operator(","):
            names.append(self.name())
        if self.operator("="):
            value = self.expression()
            self._end_tag()
            return nodes.Set(tuple(names), value)
        self._end_tag()
        body = self.body("endset")
        self._closing("endset")
        return nodes.Set(tuple(names), nodes.Printed(body))

    def _macro(self) -> nodes.Macro:
        name, signature = self.name(), self._signature()
        self._end_tag()
        body = self.body("endmacro")
        self._closing("endmacro")
        return nodes.Macro(name, signature, body)

    def _signature(self) -> nodes.Arguments:
        signature = self.arguments()
        if not all(isinstance(argument, nodes.Name) for argument in signature.positional):
            raise self.error("the parameters of a macro must be names")
        return signature

    def _call(self) -> nodes.Print:
        token = self.peek()
        has_signature = token is not None and token.kind is Kind.OPERATOR and token.value == "("
        signature = self._signature() if has_signature else nodes.Arguments()
        call = self.primary()
        if not isinstance(call, nodes.Call):
            raise self.error("expected the call of a macro")
        self._end_tag()
        caller = nodes.CallBlock(signature, self.body("endcall"))
        self._closing("endcall")
        given = call.arguments
        arguments = nodes.Arguments(given.positional, (*given.names, "caller"), (*given.values, caller))
        return nodes.Print(nodes.Call(call.target, arguments, call.line))

    def _filter(self) -> nodes.Print:
        said = self.filter(nodes.Literal(""))
        self._end_tag()
        body = self.body("endfilter")
        self._closing("endfilter")
        return nodes.Print(nodes.Filter(said.name, nodes.Printed(body), said.arguments, said.line))

    def _switch(self) -> nodes.Switch:
        value = self.expression()
        self._end_tag()
        ends = ("case", "default", "endswitch")
        self.body(*ends)
        cases: list[nodes.Case] = []
        while self.word("case"):
            case = self.expression()
            self._end_tag()
            cases.append(nodes.Case(case, self.body(*ends)))
        default = _NOTHING
        if self.word("default"):
            self._end_tag()
            default = self.body("endswitch")
        self._closing("endswitch")
        return nodes.Switch(value, tuple(cases), default)

    def _block(self) -> nodes.Block:
        name = self.name()
        self._end_tag()
        body = self.body("endblock")
        if not self.word("endblock"):
            raise self.error("expected {% endblock %}, got the end of the text")
        self.word(name)
        self._end_tag()
        return nodes.Block(name, body)

    # Other templates

    def _include(self) -> nodes.Include:
        file = self.expression()
        optional = self.word("ignore") and self.word("missing")
        self._end_tag()
        return nodes.Include(file, optional)

    def _extends(self) -> nodes.Extends:
        file = self.expression()
        self._end_tag()
        return nodes.Extends(file)

    def _import(self) -> nodes.Import:
        file = self.expression()
        if not self.word("as"):
            raise self.error("expected 'as' in an import")
        module = self.name()
        return nodes.Import(file, module, (), self._with_context())

    def _from(self) -> nodes.Import:
        file = self.expression()
        if not self.word("import"):
            raise self.error("expected 'import' behind 'from'")
        names: list[tuple[str, str]] = []
        while not names or self.operator(","):
            own = self.name()
            names.append((own, self.name() if self.word("as") else own))
        return nodes.Import(file, "", tuple(names), self._with_context())

    def _with_context(self) -> bool:
        """The end of an import."""
        given = self.word("with")
        if given or self.word("without"):
            self.word("context")
        self._end_tag()
        return given


def parse(source: str) -> nodes.Body:
    """The tree of a template.

    Raises:
        TemplateError: it is none, with its line.
    """
    try:
        return _Parser(source).body()
    except RecursionError:
        raise TemplateError("nested too deeply") from None
