"""XML and HTML in an answer. No entity is ever defined or fetched: what would need it is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Final
from xml.parsers import expat

from promptship.evals.assertions.base import AssertionSpec, BuildContext, Dialect, Maker, invalid, shown
from promptship.evals.assertions.values import fields, js_text, object_value
from promptship.evals.score import Judged, Subject, excerpt, yes_or_no

# XML ------------------------------------------------------------------------------------------------------------------


class NoXml(ValueError):
    """A text is not well-formed XML, or needs a DTD."""


@dataclass(slots=True)
class Element:
    """One element; names as they are written, with their prefix."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element] = field(default_factory=list)
    has_text: bool = False


def xml_root(text: str, *, namespaces: bool = True) -> Element:
    """The root element of a document. `namespaces`: every prefix must be declared.

    Raises:
        NoXml: it is not well-formed, or has declarations of its own in the DOCTYPE.
    """
    parser = expat.ParserCreate("utf-8", " " if namespaces else None)
    if namespaces:
        parser.namespace_prefixes = True
    document = Element("")
    stack = [document]

    def begin(name: str, attributes: dict[str, str]) -> None:
        element = Element(_written(name), {_written(key): value for key, value in attributes.items()})
        stack[-1].children.append(element)
        stack.append(element)
        if len(stack) > DEPTH_MAX:
            message = f"more than {DEPTH_MAX} levels"
            raise NoXml(message)

    def end(_name: str) -> None:
        stack.pop()

    def data(content: str) -> None:
        stack[-1].has_text = stack[-1].has_text or not content.isspace()

    def doctype(_name: str, _system: str | None, _public: str | None, has_internal_subset: bool) -> None:
        if has_internal_subset:
            message = "a DOCTYPE with declarations of its own is refused"
            raise NoXml(message)

    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = data, doctype
    try:
        parser.Parse(text.encode("utf-8", "surrogatepass"), True)
    except expat.ExpatError as error:
        raise NoXml(str(error)) from None
    return document.children[0]


DEPTH_MAX: Final = 500


def _written(name: str) -> str:
    """`prefix:local` of what expat reports as `uri local prefix`."""
    _, _, rest = name.partition(" ")
    local, _, prefix = rest.partition(" ")
    return f"{prefix}:{local}" if prefix else local or name


def has_path(roots: Sequence[Element], path: str, *, strict: bool) -> bool:
    """Whether an element is there: names from the root on, with dots between; `@_name` is an attribute.

    `strict` is promptfoo's reading: among siblings of one name the next part must be a number, from 0.
    """
    level = list(roots)
    parent: Element | None = None
    parts = path.split(".")
    while parts:
        part = parts.pop(0)
        if not parts and parent is not None and _is_leaf(parent, part):
            return True
        found = [element for element in level if element.name == part]
        if not found:
            return False
        if strict and len(found) > 1 and parts:
            number = parts.pop(0)
            if not number.isdecimal() or int(number) >= len(found) or str(int(number)) != number:
                return False
            found = [found[int(number)]]
        parent = found[0]
        level = [child for element in found for child in element.children]
    return True


def _is_leaf(parent: Element, part: str) -> bool:
    return (part.startswith("@_") and part[2:] in parent.attributes) or (part == "#text" and parent.has_text)


# No alternative runs past the next "<": the time stays in proportion to the text.
_TAG: Final = re.compile(
    r"<(?P<close>/?)(?P<name>[^\W\d][\w.:-]*)(?P<rest>(?:[^<>\"']|\"[^\"<]*\"|'[^'<]*')*)>"
)
_NO_ELEMENTS: Final = (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>"), ("<!", ">"))
_BARE: Final = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[0-9a-fA-F]+);)")


def _elements_only(text: str) -> str:
    """A text without comments, CDATA, instructions and declarations; one that is not closed goes to the end."""
    kept: list[str] = []
    at = 0
    while (start := text.find("<", at)) >= 0:
        for begins, ends in _NO_ELEMENTS:
            if text.startswith(begins, start):
                kept.append(text[at:start])
                end = text.find(ends, start + len(begins))
                at = len(text) if end < 0 else end + len(ends)
                break
        else:
            kept.append(text[at : start + 1])
            at = start + 1
    return "".join([*kept, text[at:]])


def xml_fragments(text: str) -> Iterator[list[Element]]:
    """What a text has of elements that are closed again, largest first: all siblings together, then each by itself."""
    text = _elements_only(text)
    stack: list[tuple[str, int]] = []
    closed: list[tuple[int, int, int]] = []  # parent's start or -1, start, end
    for tag in _TAG.finditer(text):
        name = tag["name"]
        if tag["close"]:
            if stack and stack[-1][0] == name:
                _, start = stack.pop()
                closed.append((stack[-1][1] if stack else -1, start, tag.end()))
            else:
                stack.clear()
        elif tag["rest"].rstrip().endswith("/"):
            closed.append((stack[-1][1] if stack else -1, tag.start(), tag.end()))
        else:
            stack.append((name, tag.start()))
    starts = {start for _, start, _ in closed}
    outermost = [span for span in closed if span[0] not in starts]
    families: dict[int, list[tuple[int, int]]] = {}
    for parent, start, end in outermost:
        families.setdefault(parent, []).append((start, end))
    for spans in families.values():
        yield from _elements(text, spans)


def _elements(text: str, spans: list[tuple[int, int]]) -> Iterator[list[Element]]:
    whole = (min(start for start, _ in spans), max(end for _, end in spans))
    for start, end in dict.fromkeys([whole, *sorted(spans)]):
        try:
            yield xml_root(f"<_>{_BARE.sub('&amp;', text[start:end])}</_>", namespaces=False).children
        except NoXml:
            continue
        if (start, end) == whole:
            return  # what is in it has been looked at


@dataclass(frozen=True, slots=True)
class Xml:
    """The answer is a well-formed document (or, `anywhere`, holds an element), with the elements that must be in it."""

    required: tuple[str, ...]
    anywhere: bool
    strict: bool

    async def judge(self, subject: Subject) -> Judged:
        """Parsed without entities."""
        reason = f"no XML in {excerpt(subject.output)}"
        if self.anywhere:
            found: Iterator[Sequence[Element]] = xml_fragments(subject.output)
        else:
            try:
                found = iter([[xml_root(subject.output)]])
            except NoXml as error:
                return Judged(yes_or_no(False, f"no XML: {error}"))
        for roots in found:
            missing = [path for path in self.required if not has_path(roots, path, strict=self.strict)]
            if not missing:
                return Judged(yes_or_no(True, ""))
            reason = f"no element {', '.join(missing)}"
        return Judged(yes_or_no(False, reason))


def xml_like(*, anywhere: bool) -> Maker:
    """Maker of is-xml and contains-xml; `value`: nothing, or the paths of required elements as text, list or object."""

    def make(spec: AssertionSpec, context: BuildContext) -> Xml:
        return Xml(_required(spec, context), anywhere, strict=context.dialect is Dialect.PROMPTFOO)

    return make


def _required(spec: AssertionSpec, context: BuildContext) -> tuple[str, ...]:
    value: Any = spec.value
    if isinstance(value, dict) and value:
        value = object_value(spec, context, frozenset({"requiredElements"})).get("requiredElements")
        if not isinstance(value, list):
            raise invalid("value.requiredElements", shown(value), "expected a list of element names")
    if isinstance(value, str):
        value = [name for name, _ in fields(value)] or [""] * (context.dialect is Dialect.PROMPTFOO)
    if not value or (context.dialect is Dialect.PROMPTFOO and not isinstance(value, list)):
        return ()
    if not isinstance(value, list) or not all(isinstance(name, str | int | float) for name in value):
        raise invalid("value", shown(value), "expected names of elements such as order.customer")
    return tuple(js_text(name) for name in value)


# HTML -----------------------------------------------------------------------------------------------------------------


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HTML_NAMES: Final = _words(
    "a abbr address area article aside audio b base bdi bdo blockquote body br button canvas caption cite code col colgroup "
    "data datalist dd del details dfn dialog div dl dt em embed fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 head "
    "header hr html i iframe img input ins kbd label legend li link main map mark math menu meta meter nav noscript object ol "
    "optgroup option output p param picture pre progress q rp rt ruby s samp script section select slot small source span "
    "strong style sub summary sup svg table tbody td template textarea tfoot th thead time title tr track u ul var video wbr"
)
_VOID: Final = _words("area base br col embed hr img input link meta param source track wbr")
_IN_HEAD: Final = _words("html head base link meta noscript script style template title")
_WRAPPERS: Final = frozenset({"html", "head", "body"})
_ENDS_PARAGRAPH: Final = _words(
    "address article aside blockquote details div dl fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr main "
    "menu nav ol p pre section table ul"
)
LENGTH_MAX: Final = 10 * 1024 * 1024


class _Outline(HTMLParser):
    """Which elements a text has, and whether words stand outside all of them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.names: set[str] = set()
        self.outside = False
        self.has_body = False
        """`<body>` is written before anything that belongs in it."""
        self._began = False
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the parser's own
        self.names.add(tag)
        self.has_body = self.has_body or (tag == "body" and not self._began)
        self._began = self._began or not (self._open or tag in _IN_HEAD)
        if tag in _ENDS_PARAGRAPH and "p" in self._open:
            self.handle_endtag("p")
        if tag not in _VOID and tag not in _WRAPPERS:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self._began = self._began or tag in {"body", "html", "br"}
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not self._open and data.strip():
            self.outside = self._began = True


def html_problem(text: str) -> str:
    """Why a text is not HTML; empty: it is. HTML has elements, and no words outside of them unless `<body>` is written."""
    text = text.strip()
    if not text or len(text) > LENGTH_MAX:
        return "it is empty" if not text else "it is longer than 10 MB"
    if text[:5].lower() == "<?xml":
        return "it is XML"
    outline = _Outline()
    text = _without_comments(text)
    # The parser looks for the end of every tag anew: where there is none, 200 kB of "<a " take it half a minute.
    whole = text.rfind(">") + 1
    try:
        outline.feed(text[:whole])
        outline.close()
    except AssertionError:  # what html.parser says to `<![`
        return "it has a broken declaration"
    outline.handle_data(text[whole:])
    if outline.outside and not outline.has_body:
        return "words stand outside of all elements"
    if not any(name in _HTML_NAMES or "-" in name for name in outline.names):
        return "it has no element of HTML"
    return ""


def _without_comments(text: str) -> str:
    """One that is not closed goes to the end, as in browsers."""
    kept: list[str] = []
    at = 0
    while (start := text.find("<!--", at)) >= 0:
        kept.append(text[at:start])
        end = text.find("-->", start + 4)
        at = len(text) if end < 0 else end + 3
    return "".join([*kept, text[at:]])


_OPENS: Final = re.compile(r"<[a-z][a-z0-9-]*(?:\s[^<>]*)?>", re.IGNORECASE)
_CLOSES: Final = re.compile(r"</[a-z][a-z0-9-]*\s*>", re.IGNORECASE)
_SIGNS: Final[tuple[tuple[int, re.Pattern[str]], ...]] = (
    (1, re.compile(r"<[a-z][a-z0-9-]*(?:\s[^<>]*)?/>", re.IGNORECASE)),  # closed at once
    (1, re.compile(r"&(?:[a-z]+|#[0-9]+|#x[0-9a-f]+);", re.IGNORECASE)),
    (2, re.compile(r"<!doctype\s+html", re.IGNORECASE)),
    (1, re.compile(r"\s[a-z-]+=\s*(?:\"[^\"<]*\"|'[^'<]*')", re.IGNORECASE)),
    (
        2,
        re.compile(
            r"<(?:html|head|body|div|span|p|a|img|h[1-6]|ul|ol|li|table|tr|td|th|form|input|button|script|style|link|meta|br|hr)\b",
            re.IGNORECASE,
        ),
    ),
)
SIGNS_MIN: Final = 2


def has_html(text: str) -> bool:
    """Whether there is HTML in a text: a usual tag, a DOCTYPE, an opening and a closing tag, or two weaker signs."""
    if len(text) > LENGTH_MAX or ("<" not in text and "&" not in text):
        return False
    signs = int(_OPENS.search(text) is not None) + int(_CLOSES.search(text) is not None)
    comment = text.find("<!--")
    signs += int(comment >= 0 and text.find("-->", comment + 4) >= 0)
    for points, pattern in _SIGNS:
        if signs >= SIGNS_MIN:
            return True
        signs += points if pattern.search(text) else 0
    return signs >= SIGNS_MIN


@dataclass(frozen=True, slots=True)
class Html:
    """The answer is HTML or, `anywhere`, has some in it."""

    anywhere: bool

    async def judge(self, subject: Subject) -> Judged:
        """Browsers read nearly everything: see `html_problem` and `has_html`."""
        if self.anywhere:
            return Judged(yes_or_no(has_html(subject.output), f"no HTML in {excerpt(subject.output)}"))
        problem = html_problem(subject.output)
        return Judged(yes_or_no(not problem, f"{problem}: {excerpt(subject.output)}"))


def html_like(*, anywhere: bool) -> Maker:
    """Maker of is-html and contains-html; no value."""

    def make(_spec: AssertionSpec, _context: BuildContext) -> Html:
        return Html(anywhere)

    return make
