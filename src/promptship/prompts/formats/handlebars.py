"""The Handlebars of Dotprompt -> Jinja2. What has no exact counterpart is refused, by name and line.

Source: https://google.github.io/dotprompt/reference/template and https://handlebarsjs.com/guide. Lines are kept: a tag that stands
alone on its line takes the line with it, so the newline moves into the Jinja tag.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from textwrap import shorten

_TAG = re.compile(
    r"""(?P<escaped>\\\{\{(?P<literal>.*?)\}\})
      | \{\{(?P<cl>~?)!(?:--(?P<long>.*?)--|(?P<short>.*?))(?P<cr>~?)\}\}
      | \{\{\{(?P<triple>.*?)\}\}\}
      | \{\{(?P<left>~?)(?P<body>(?:(?!\{\{).)*?)(?P<right>~?)\}\}""",
    re.DOTALL | re.VERBOSE,
)
_WORD = re.compile(r"""\|[^|]*\||[\w@./\[\]-]+=(?:"[^"]*"|'[^']*'|\S+)|"[^"]*"|'[^']*'|[^\s]+""")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_RESERVED = frozenset(
    {
        "and",
        "or",
        "not",
        "in",
        "is",
        "if",
        "else",
        "elif",
        "loop",
        "recursive",
        "import",
        "None",
        "True",
        "False",
    }
)
_LITERALS = {"true": "true", "false": "false", "null": "none", "undefined": "none"}
_BLOCKS = frozenset({"if", "unless", "each", "with", "ifEquals", "unlessEquals"})
_LOOP = {"@index": "loop.index0", "@first": "loop.first", "@last": "loop.last"}
_ROLES = {"system": "system", "user": "user", "model": "assistant", "assistant": "assistant", "tool": "tool"}

Types = Mapping[str, str]
"""Declared types of the variables, by name."""


@dataclass(slots=True)
class Turn:
    """One message: its role, its Jinja template, and the line (1-based, within the body) where its text begins."""

    role: str
    line: int
    template: str = ""


@dataclass(slots=True)
class _Block:
    kind: str
    line: int
    close: str
    scoped: bool
    otherwise: bool = False


@dataclass(slots=True)
class _Scope:
    """What names are looked up in: the root (`this` is empty), the item of a loop, or the object of a `with`."""

    this: str
    loops: bool = False
    names: dict[str, str] = field(default_factory=dict)


class Unsupported(Exception):
    """A tag we cannot translate; the message says which and what to do."""


def convert(body: str, types: Types, wrong: Callable[[int, str, str], None]) -> list[Turn]:
    """Messages of a Dotprompt body.

    `wrong(line, got, expected)` notes what cannot be translated; conversion goes on, so that everything is found at once.
    """
    converter = _Converter(body, types, wrong)
    converter.run()
    return [turn for turn in converter.turns if turn.template.strip()]


class _Converter:
    def __init__(self, body: str, types: Types, wrong: Callable[[int, str, str], None]) -> None:
        self._body = body
        self._types = types
        self._wrong = wrong
        self._blocks: list[_Block] = []
        self._scopes = [_Scope("")]
        self._item = "item"
        while re.search(rf"\b{self._item}_\d", body):
            self._item += "_"
        self._items = 0
        self.turns = [Turn("user", 1)]

    def run(self) -> None:
        at = 0
        while tag := _TAG.search(self._body, at):
            self._emit_text(self._body[at : tag.start()], at)
            line = self._line(tag.start())
            try:
                at = self._tag(tag)
            except Unsupported as error:
                self._wrong(line, shorten(tag[0], 60, placeholder="…"), str(error))
                at = tag.end()
        self._emit_text(self._body[at:], at)
        for block in self._blocks:
            self._wrong(
                block.line, f"{{{{#{block.kind}}}}} without an end", f"expected {{{{/{block.kind}}}}}"
            )

    def _line(self, at: int) -> int:
        return 1 + self._body.count("\n", 0, at)

    def _emit_text(self, text: str, at: int) -> None:
        if "{{" in text:
            self._wrong(self._line(at + text.index("{{")), "{{ without an end", "expected }}")
        # What Handlebars takes for text may be markup to Jinja.
        self._emit(re.sub(r"\{(?=[%#])", "{{ '{' }}", text))

    def _emit(self, text: str) -> None:
        turn = self.turns[-1]
        if text.startswith("{") and turn.template.endswith("{"):
            turn.template = turn.template[:-1] + "{{ '{' }}"
        turn.template += text

    def _tag(self, tag: re.Match[str]) -> int:
        """Translate one tag; where to go on."""
        if tag["escaped"] is not None:
            self._emit("{{ " + json.dumps("{{" + tag["literal"] + "}}", ensure_ascii=False) + " }}")
            return tag.end()
        if tag["triple"] is not None:
            self._emit(self._output(_WORD.findall(tag["triple"]), "", ""))
            return tag.end()
        left, right = tag["left"] or tag["cl"] or "", tag["right"] or tag["cr"] or ""
        words = _WORD.findall(tag["body"] or "")
        comment = tag["body"] is None
        if not comment and not words:
            raise Unsupported("an empty tag; expected a variable")
        block = comment or words[0][0] in "#/^" or words[0] == "else"
        lines, end = self._alone(tag) if block and not left and not right else ("", tag.end())
        dashes = ("-" if left else "", "-" if right else "")
        if comment:
            inner = "\n" * tag[0].count("\n") + lines
            self._emit(f"{{#{dashes[0]}{inner}{dashes[1]}#}}" if inner or any(dashes) else "")
        elif block:
            self._emit(f"{{%{dashes[0]} {self._block(words, tag)}{lines or ' '}{dashes[1]}%}}")
        else:
            self._mustache(words, dashes, tag)
        return end

    def _alone(self, tag: re.Match[str]) -> tuple[str, int]:
        """A tag alone on its line loses the line: the indentation before, and what to put into the Jinja tag instead."""
        before = self._body[: tag.start()]
        indentation = len(before) - len(before.rstrip(" \t"))
        start = before[: len(before) - indentation]
        rest = re.compile(r"[ \t]*(\n|\Z)").match(self._body, tag.end())
        if (start and not start.endswith("\n")) or rest is None:
            return "", tag.end()
        if indentation:
            turn = self.turns[-1]
            turn.template = turn.template[: len(turn.template) - indentation]
        return rest[1], rest.end()

    def _mustache(self, words: list[str], dashes: tuple[str, str], tag: re.Match[str]) -> None:
        name = words[0]
        if name == "role":
            self._role(words, tag)
        elif name == "history":
            raise Unsupported("history is not supported: the application sends earlier turns itself")
        elif name == "media":
            raise Unsupported("media is not supported: messages are text")
        elif name == "section":
            raise Unsupported("sections are not supported")
        elif name.startswith(">"):
            raise Unsupported("partials are not supported: a prompt is one file")
        else:
            self._emit(self._output(words, *dashes))

    def _role(self, words: list[str], tag: re.Match[str]) -> None:
        if len(words) != 2 or words[1][0] not in "\"'":  # noqa: PLR2004 - the helper and its argument
            raise Unsupported('expected one role, such as {{role "system"}}')
        role = _ROLES.get(words[1][1:-1])
        if role is None:
            raise Unsupported(f"expected one of {', '.join(_ROLES)}")
        if self._blocks:
            raise Unsupported(
                f"a role inside {{{{#{self._blocks[-1].kind}}}}} is not supported: messages do not depend on variables"
            )
        self.turns.append(Turn(role, self._line(tag.end())))

    def _output(self, words: list[str], left: str, right: str) -> str:
        if len(words) > 1 and words[0] == "json":
            options = dict(word.split("=", 1) for word in words[2:] if "=" in word)
            if len(options) != len(words) - 2 or options.keys() - {"indent"}:
                raise Unsupported("json takes one value and `indent`")
            arguments = f"({options['indent']})" if options.get("indent", "").isdigit() else ""
            return f"{{{{{left} {self._value(words[1])} | tojson{arguments} {right}}}}}"
        if len(words) > 1:
            raise Unsupported(f"the helper {words[0]} does not exist here")
        if self._types.get(words[0]) == "boolean" and not self._scopes[-1].this:
            # Handlebars prints true, Jinja would print True.
            return f"{{{{{left} 'true' if {self._value(words[0])} else 'false' {right}}}}}"
        value = self._value(words[0], empty="''")
        return f"{{{{{left} {value} {right}}}}}"

    def _block(self, words: list[str], tag: re.Match[str]) -> str:
        name = words[0]
        if name == "else":
            return self._else(words[1:])
        if name.startswith("^"):
            raise Unsupported("inverted sections are not supported: write {{else}} or {{#unless}}")
        if name.startswith("/"):
            return self._close(name[1:])
        kind = name[1:]
        if kind not in _BLOCKS:
            raise Unsupported(f"the block #{kind} is not supported; there are {', '.join(sorted(_BLOCKS))}")
        block = _Block(
            kind, self._line(tag.start()), "endfor" if kind == "each" else "endif", kind in {"each", "with"}
        )
        self._blocks.append(block)
        try:
            return self._open(kind, words[1:])
        except Unsupported:
            if block.scoped:
                self._scopes.append(_Scope(self._scopes[-1].this))
            raise

    def _open(self, kind: str, words: list[str]) -> str:
        wanted = 2 if kind.endswith("Equals") else 1
        names: list[str] = []
        if kind == "each" and len(words) >= 3 and words[1] == "as":  # noqa: PLR2004 - `xs as |x i|`
            names = " ".join(words[2:]).strip("|").split()
            words = words[:1]
        if len(words) != wanted:
            raise Unsupported(f"#{kind} takes {wanted} value{'s' if wanted > 1 else ''}")
        if kind == "each":
            return self._each(words[0], names)
        if kind == "with":
            target = self._value(words[0])
            self._scopes.append(_Scope(target))
            return f"if {target}"
        return f"if {self._condition(kind, words)}"

    def _condition(self, kind: str, words: list[str]) -> str:
        if kind.endswith("Equals"):
            operator = "==" if kind == "ifEquals" else "!="
            return f"{self._value(words[0], empty='none')} {operator} {self._value(words[1], empty='none')}"
        value = self._value(words[0], empty="false")
        return f"not ({value})" if kind == "unless" else value

    def _each(self, word: str, names: list[str]) -> str:
        if self._types.get(word) == "object" and not self._scopes[-1].this:
            raise Unsupported("#each over an object is not supported: pass an array")
        target = self._value(word, empty="[]")
        self._items += 1
        item = f"{self._item}_{self._items}"
        scope = _Scope(item, loops=True, names=dict(zip(names, (item, "loop.index0"), strict=False)))
        self._scopes.append(scope)
        return f"for {item} in {target}"

    def _else(self, words: list[str]) -> str:
        if not self._blocks:
            raise Unsupported("else outside of a block")
        block = self._blocks[-1]
        if words:
            kind = words[0]
            if block.kind in {"each", "with"} or kind not in _BLOCKS - {"each", "with"} or block.otherwise:
                raise Unsupported(f"else {kind} is not supported here")
            wanted = 2 if kind.endswith("Equals") else 1
            if len(words) != wanted + 1:
                raise Unsupported(f"else {kind} takes {wanted} value{'s' if wanted > 1 else ''}")
            return f"elif {self._condition(kind, words[1:])}"
        if block.otherwise:
            raise Unsupported("a second else")
        block.otherwise = True
        if block.scoped:
            self._scopes.pop()  # the else part sees what is outside
        return "else"

    def _close(self, kind: str) -> str:
        if not self._blocks or self._blocks[-1].kind != kind:
            expected = f"{{{{/{self._blocks[-1].kind}}}}}" if self._blocks else "no end: no block is open"
            raise Unsupported(f"expected {expected}")
        block = self._blocks.pop()
        if block.scoped and not block.otherwise:
            self._scopes.pop()
        return block.close

    def _value(self, word: str, *, empty: str = "") -> str:
        """Jinja's expression for a literal or a path; `empty` stands in where a path ends in nothing, as Handlebars does it."""
        if word[0] in "\"'":
            return json.dumps(word[1:-1], ensure_ascii=False)
        if re.fullmatch(r"-?\d+(\.\d+)?", word):
            return word
        if word in _LITERALS:
            return _LITERALS[word]
        if word.startswith("@") and not word.startswith("@root."):
            if word not in _LOOP or not self._scopes[-1].loops:
                raise Unsupported(f"{word} is not supported here; inside #each there are {', '.join(_LOOP)}")
            return _LOOP[word]
        depth, path = len(self._scopes) - 1, word
        if word.startswith("@root."):
            depth, path = 0, word.removeprefix("@root.")
        while path == ".." or path.startswith("../"):
            depth, path = depth - 1, path[3:]
        if depth < 0:
            raise Unsupported("more ../ than blocks around it")
        return self._look(self._scopes[depth], path.removeprefix("./"), empty)

    def _look(self, scope: _Scope, path: str, empty: str) -> str:
        segments = re.findall(r"\[[^\]]*\]|[^./\[\]]+", path)
        if segments[:1] == ["this"] or path in {"", "."}:
            segments = segments[1:]
            if not scope.this:
                raise Unsupported("`this` outside of #each and #with: name the variable")
            base = scope.this
        elif segments and segments[0] in scope.names:
            base = scope.names[segments.pop(0)]
        elif scope.this:
            base = scope.this
        else:
            base = segments.pop(0) if segments else ""
            if not _IDENTIFIER.match(base) or base in _RESERVED:
                raise Unsupported(f"{base or 'this'} cannot be the name of a variable here")
        if not segments:
            return base
        if not all(re.fullmatch(r"\[[^\]]*\]|[\w-]+", segment) for segment in segments):
            raise Unsupported("expected a variable or a path such as order.id")
        inner = "".join(self._step(segment.strip("[]")) for segment in segments)
        return f"({base}{inner} | default({empty}))" if empty else f"{base}{inner}"

    @staticmethod
    def _step(segment: str) -> str:
        """Always by subscript: `order.items` must be the key, not the method of a dict."""
        return f"[{segment}]" if segment.isdigit() else f"[{json.dumps(segment, ensure_ascii=False)}]"
