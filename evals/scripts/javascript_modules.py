"""ES modules as functions: `import` and `export` of a file become calls that `prelude.js` answers. Standard library only.

The engine's Python binding loads no modules. A scanner that knows strings, templates, comments and regular expressions finds the
statements at the top level; the rest of the text stays as it is, line by line. Imported names are taken when the module starts:
a name that another module changes later keeps its first value. Top-level `await` is not supported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_NAME: Final = r"[A-Za-z_$][\w$]*"
_SPACE: Final = r"(?:\s|/\*.*?\*/|//[^\n]*\n)"
_FROM: Final = rf"(?P<quote>['\"])(?P<what>[^'\"\n]+)(?P=quote)(?:{_SPACE}*(?:with|assert){_SPACE}*\{{[^}}]*\}})?[ \t]*;?"
_IMPORT: Final = re.compile(
    rf"import{_SPACE}*(?:(?P<clause>[\w$*{{][^'\"()]*?){_SPACE}*from{_SPACE}*)?{_FROM}", re.DOTALL
)
_EXPORT_FROM: Final = re.compile(
    rf"export{_SPACE}*(?P<clause>\*(?:{_SPACE}*as{_SPACE}+{_NAME})?|\{{[^}}]*\}}){_SPACE}*from{_SPACE}*{_FROM}",
    re.DOTALL,
)
_EXPORT_LIST: Final = re.compile(rf"export{_SPACE}*\{{(?P<names>[^}}]*)\}}[ \t]*;?", re.DOTALL)
_DECLARED: Final = re.compile(
    rf"(?:async{_SPACE}+)?(?:function{_SPACE}*\*?|class)(?:{_SPACE}+(?P<name>{_NAME}))?(?=[\s({{/])"
)
_EXPORT_DEFAULT: Final = re.compile(rf"export{_SPACE}+default(?![\w$]){_SPACE}*")
_EXPORT_HERE: Final = re.compile(rf"export{_SPACE}+(?=(?:async|function|class|const|let|var)(?![\w$]))")
_VARIABLES: Final = re.compile(rf"(?:const|let|var){_SPACE}*")
_WORD: Final = re.compile(_NAME)
_BEFORE_REGEX: Final = frozenset(
    {
        "return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "else", "do", "instanceof", "yield", "await",
        "default",
    }
)  # fmt: skip


@dataclass(slots=True)
class _Module:
    """What was found so far."""

    pieces: list[str] = field(default_factory=list)
    exported: dict[str, str] = field(default_factory=dict)
    """Expression behind every exported name."""
    every: list[str] = field(default_factory=list)
    """Modules all of whose names are exported again."""
    imports: int = 0
    is_module: bool = False

    def imported(self, what: str) -> str:
        """A new variable for a module, and the statement that sets it."""
        self.imports += 1
        self.is_module = True
        name = f"__from{self.imports}"
        self.pieces.append(f"const {name} = __namespace(__require({what!r}));")
        return name


def as_function(source: str) -> tuple[str, bool]:
    """Body of a function, and whether the source is an ES module.

    A module's uses `__require`, `__publish`, `__meta`, `__import` and `__namespace`; any other's at most `__import`.
    """
    module, done = _Module(), 0
    for start, word in _statements(source):
        if start < done:
            continue
        before = len(module.pieces)
        module.pieces.append(source[done:start])
        end = _import(module, source, start) if word == "import" else _export(module, source, start)
        if end is None:
            del module.pieces[before:]
            continue
        # The rest keeps its line numbers.
        module.pieces.append("\n" * source[start:end].count("\n"))
        done = end
    text = "".join(module.pieces) + source[done:]
    if not module.is_module:
        return text, False
    getters = ", ".join(f"{name!r}: () => {value}" for name, value in module.exported.items())
    again = "".join(f"\n__publish(__every({name}));" for name in module.every)
    return f"__publish({{{getters}}});{text}{again}", True


def _import(module: _Module, source: str, start: int) -> int | None:
    rest = source[start + len("import") :].lstrip()
    if rest.startswith("("):
        module.pieces.append("__import")
        return start + len("import")
    if rest.startswith("."):
        found = re.compile(r"import\s*\.\s*meta(?![\w$])").match(source, start)
        if not found:
            return None
        module.pieces.append("__meta")
        module.is_module = True
        return found.end()
    found = _IMPORT.match(source, start)
    if not found:
        return None
    name = module.imported(found["what"])
    clause = re.sub(_SPACE, " ", found["clause"] or "").strip()
    for part in re.findall(r"\{[^}]*\}|[^,{}]+", clause):
        text = part.strip()
        if text.startswith("{"):
            module.pieces.append(f"const {{{_renamed(text[1:-1])}}} = {name};")
        elif text.startswith("*"):
            module.pieces.append(f"const {text.split()[-1]} = {name};")
        elif text:
            module.pieces.append(f"const {text} = {name}.default;")
    return found.end()


def _renamed(names: str) -> str:
    """`a, b as c` as a pattern: `a, b: c`."""
    return ", ".join(re.sub(r"\s+as\s+", ": ", name.strip()) for name in names.split(",") if name.strip())


def _export(module: _Module, source: str, start: int) -> int | None:
    end = _exported(module, source, start)
    module.is_module = module.is_module or end is not None
    return end


def _exported(module: _Module, source: str, start: int) -> int | None:
    if found := _EXPORT_FROM.match(source, start):
        name = module.imported(found["what"])
        clause = found["clause"]
        if clause == "*":
            module.every.append(name)
        elif clause.startswith("*"):
            module.exported[clause.split()[-1]] = name
        else:
            for own, told in _listed(clause[1:-1]):
                module.exported[told] = f"{name}[{own!r}]"
        return found.end()
    if found := _EXPORT_LIST.match(source, start):
        module.exported.update({told: own for own, told in _listed(found["names"])})
        return found.end()
    if found := _EXPORT_DEFAULT.match(source, start):
        declared = _DECLARED.match(source, found.end())
        if declared and declared["name"] and declared["name"] != "extends":
            module.exported["default"] = declared["name"]
        else:
            module.exported["default"] = "__default"
            module.pieces.append("const __default = ")
        return found.end()
    if found := _EXPORT_HERE.match(source, start):
        declared = _DECLARED.match(source, found.end())
        names = [declared["name"]] if declared else list(_variables(source, found.end()))
        module.exported.update({name: name for name in names if name})
        return found.end()
    return None


def _listed(names: str) -> Iterator[tuple[str, str]]:
    for entry in re.sub(_SPACE, " ", names).split(","):
        own, _, told = entry.strip().partition(" as ")
        if own:
            yield own.strip(), (told or own).strip().strip("'\"")


def _variables(source: str, start: int) -> Iterator[str]:
    """Names that `const`, `let` or `var` declares, also by patterns."""
    found = _VARIABLES.match(source, start)
    at, wanted = found.end() if found else start, True
    for position, sign, depth in tokens(source, at):
        if depth == 0 and wanted and _WORD.fullmatch(sign):
            yield sign
            wanted = False
        elif depth == 1 and wanted and sign in "{[":
            yield from _pattern(source, position)
            wanted = False
        elif depth == 0 and sign == ",":
            wanted = True
        elif depth == 0 and (
            sign == ";" or sign in ("const", "let", "var", "export", "import", "function", "class")
        ):
            return


def _pattern(source: str, start: int) -> Iterator[str]:
    end = start
    for position, sign, depth in tokens(source, start):
        if depth == 0 and sign in "}]":
            end = position
            break
    yield from re.findall(
        rf"(?:{_NAME}\s*:\s*)?(?:\.\.\.)?\s*({_NAME})\s*(?:=[^,]*)?(?=[,}}\]]|$)", source[start + 1 : end]
    )


def _statements(source: str) -> Iterator[tuple[int, str]]:
    """Where `import` and `export` stand at the top level; `import(` and `import.meta` anywhere."""
    last = ""
    for position, sign, depth in tokens(source, 0):
        if sign in ("import", "export") and last != ".":
            following = source[position + len(sign) :].lstrip()[:1]
            if (depth == 0 and following != ":") or (sign == "import" and following in ("(", ".")):
                yield position, sign
        last = sign


def tokens(source: str, start: int) -> Iterator[tuple[int, str, int]]:
    """Words and signs with their bracket depth (of an opening bracket: inside it; of a closing one: outside).

    Strings, templates and regular expressions are one token, their first character; comments are none.
    """
    at, depth, last = start, 0, ""
    templates: list[int] = []
    while at < len(source):
        character = source[at]
        if character.isspace():
            at += 1
            continue
        if source.startswith(("//", "/*"), at):
            end = source.find("\n" if source[at + 1] == "/" else "*/", at + 2)
            at = len(source) if end < 0 else end + (0 if source[at + 1] == "/" else 2)
            continue
        position, sign = at, character
        if found := _WORD.match(source, at):
            sign, at = found[0], found.end()
        elif character in "'\"":
            at = _string_end(source, at)
        elif character == "`" or (character == "}" and templates and templates[-1] == depth):
            if character == "}":
                templates.pop()
                depth -= 1
            at, opened = _template_end(source, at + 1)
            if opened:
                depth += 1
                templates.append(depth)
            sign = "`"
        elif character == "/" and not (
            last and (last[-1].isalnum() or last[-1] in "_$)]}'\"`") and last not in _BEFORE_REGEX
        ):
            at = _regex_end(source, at)
        else:
            at += 1
            if character in "([{":
                depth += 1
            elif character in ")]}":
                depth -= 1
        yield position, sign, depth
        last = sign


def _string_end(source: str, start: int) -> int:
    at = start + 1
    while at < len(source) and source[at] not in (source[start], "\n"):
        at += 2 if source[at] == "\\" else 1
    return at + 1


def _template_end(source: str, start: int) -> tuple[int, bool]:
    """Behind the piece of a template that starts here, and whether an expression follows."""
    at = start
    while at < len(source) and source[at] != "`":
        if source.startswith("${", at):
            return at + 2, True
        at += 2 if source[at] == "\\" else 1
    return at + 1, False


def _regex_end(source: str, start: int) -> int:
    at, inside = start + 1, False
    while at < len(source) and source[at] != "\n" and (inside or source[at] != "/"):
        if source[at] == "\\":
            at += 1
        elif source[at] in "[]":
            inside = source[at] == "["
        at += 1
    found = re.compile(r"/[a-z]*").match(source, at)
    return found.end() if found else at
