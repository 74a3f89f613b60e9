"""YAML with line numbers and without surprises.

The core schema of YAML 1.2: `yes`, `off`, `2024-01-01` and `1:30` are text. Duplicate keys, merge keys, keys that are not
text, own tags and values that JSON does not have are problems, never a guess.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from typing import Any, ClassVar

import yaml

from promptship.prompts.formats.draft import Draft
from promptship.prompts.json_values import under

NODES_MAX = 100_000
"""Nodes of one file, aliases expanded: a page of aliases can stand for gigabytes."""

_STR, _NULL, _BOOL, _INT, _FLOAT = (
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "null", "bool", "int", "float")
)
_SEPARATORS = {"\x85": "\\N", "\u2028": "\\L", "\u2029": "\\P"}


class CoreLoader(yaml.SafeLoader):
    """Resolves plain scalars as YAML 1.2 does; only used to compose nodes."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}  # type: ignore[misc]


def _resolve(tag: str, pattern: str, first: str) -> None:
    CoreLoader.add_implicit_resolver(
        tag, re.compile(rf"(?:{pattern})\Z"), [*first, ""] if tag == _NULL else list(first)
    )


_resolve(_NULL, r"~|null|Null|NULL|", "~nN")
_resolve(_BOOL, r"true|True|TRUE|false|False|FALSE", "tTfF")
_resolve(_INT, r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789")
_resolve(
    _FLOAT,
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    "-+.0123456789",
)


class _CoreLoaderOfC(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # chosen while running
    """The same with libyaml, which every wheel of PyYAML has."""

    yaml_implicit_resolvers = CoreLoader.yaml_implicit_resolvers


def _compose(text: str) -> yaml.Node | None:
    """The document's node. The Python parser refuses `[Why?]`, which YAML 1.2 (and libyaml) reads; it has the better messages."""
    try:
        return yaml.compose(text, Loader=CoreLoader)
    except yaml.MarkedYAMLError:
        with suppress(yaml.YAMLError):
            return yaml.compose(text, Loader=_CoreLoaderOfC)
        raise


def read_yaml(draft: Draft, text: str, *, line: int = 1) -> Any:
    """The value of one YAML document; fills in the draft's lines and problems. `line`: where the text begins in its file.

    Raises:
        ConfigError: the text is not YAML; nothing more can be said about it.
    """
    for char, escape in _SEPARATORS.items():
        if char in text:
            at = line + text.count("\n", 0, text.index(char))
            name = f"U+{ord(char):04X}"
            draft.wrong(
                "", f"the file holds a bare {name}", "YAML would read it as the end of a line",
                f'write "{escape}" in double quotes', line=at,
            )  # fmt: skip
            raise draft.fail()
    try:
        node = _compose(text)
        return None if node is None else _Reader(draft, line).value(node, "")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(part for part in (error.context, error.problem) if part)
        draft.wrong(
            "", f"broken YAML: {what}", "expected one YAML document", line=line + (mark.line if mark else 0)
        )
    except yaml.reader.ReaderError as error:
        at = line + text.count("\n", 0, error.position)
        what = f"the character U+{ord(text[error.position]):04X}"
        draft.wrong(
            "",
            f"broken YAML: {what}",
            "expected printable text",
            "write it escaped, in double quotes",
            line=at,
        )
    except RecursionError:
        draft.wrong("", "nested too deeply", "expected a prompt", line=line)
    raise draft.fail()


class _Reader:
    """Turns nodes into JSON values."""

    def __init__(self, draft: Draft, line: int) -> None:
        self._draft = draft
        self._line = line
        self._nodes = 0
        self._open: set[int] = set()

    def value(self, node: yaml.Node, key: str) -> Any:
        self._nodes += 1
        if self._nodes > NODES_MAX:
            self._draft.wrong(
                "",
                f"more than {NODES_MAX:,} values",
                "expected a prompt",
                "take out the aliases",
                line=self._line,
            )
            raise self._draft.fail()
        if id(node) in self._open:
            self._wrong(node, key, "an alias of itself", "expected a value")
            return None
        if key:
            self._draft.lines.setdefault(key, self._text_line(node))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, key)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, under(key, index)) for index, item in enumerate(node.value)]
            return self._mapping(node, key)
        finally:
            self._open.discard(id(node))

    def _text_line(self, node: yaml.Node) -> int:
        """Where the text of a node begins: below the header of a block scalar."""
        block = isinstance(node, yaml.ScalarNode) and node.style in {"|", ">"}
        return self._line + node.start_mark.line + (1 if block else 0)

    def _wrong(self, node: yaml.Node, key: str, got: str, expected: str, advice: str = "") -> None:
        self._draft.wrong(key, got, expected, advice, line=self._line + node.start_mark.line)

    def _mapping(self, node: yaml.Node, key: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        first: dict[str, int] = {}
        for name_node, value_node in node.value:
            if not isinstance(name_node, yaml.ScalarNode) or name_node.tag != _STR:
                got = repr(name_node.value) if isinstance(name_node, yaml.ScalarNode) else "a structure"
                self._wrong(
                    name_node,
                    key,
                    f"a mapping with the key {got}",
                    "expected text as a key",
                    "put the key in quotes",
                )
                continue
            name = self._unicode(name_node, key)
            here = under(key, name)
            line = self._line + name_node.start_mark.line
            if name == "<<" and not name_node.style:
                self._wrong(name_node, here, "a merge key", "expected the keys themselves", "write them out")
            elif name in values:
                self._wrong(name_node, here, "given twice", f"expected once; first on line {first[name]}")
            else:
                first[name] = line
                if not isinstance(value_node, yaml.ScalarNode):
                    self._draft.lines.setdefault(here, line)
                values[name] = self.value(value_node, here)
        return values

    def _scalar(self, node: yaml.ScalarNode, key: str) -> Any:
        text = str(node.value)
        match node.tag:
            case tag if tag == _STR:
                return self._unicode(node, key)
            case tag if tag == _NULL:
                return None
            case tag if tag == _BOOL and text.lower() in {"true", "false"}:
                return text.lower() == "true"
            case tag if tag in {_INT, _FLOAT}:
                return self._number(node, key, text, whole=tag == _INT)
        self._wrong(
            node, key, f"tagged {node.tag.replace('tag:yaml.org,2002:', '!!')}", "expected a JSON value"
        )
        return None

    def _number(self, node: yaml.ScalarNode, key: str, text: str, *, whole: bool) -> int | float | None:
        try:
            if whole:
                return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
            number = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            return number
        self._wrong(node, key, text[:60], "expected a number that JSON can carry")
        return None

    def _unicode(self, node: yaml.ScalarNode, key: str) -> str:
        r"""JSON writes 😀 as the pair \ud83d\ude00; half a pair is no text at all."""
        text = str(node.value)
        try:
            text.encode()
        except UnicodeEncodeError:
            try:
                return text.encode("utf-16", "surrogatepass").decode("utf-16")
            except UnicodeDecodeError:
                self._wrong(node, key, "text with half of a surrogate pair", "expected Unicode text")
                return ""
        return text
