"""HTML in texts: tags taken out of it, links put into it."""

from __future__ import annotations

from itertools import groupby
from string import ascii_letters, digits
from typing import Final

from promptship.evals.promptfoo.nunjucks.values import SPACE

_LETTERS: Final = frozenset(ascii_letters)
_NAME: Final = frozenset(ascii_letters + digits)
_OPENINGS: Final = ("(", "<", "&lt;")
_CLOSINGS: Final = (")", ".", ",", "&gt;")
_DOMAINS: Final = (".com", ".net", ".org")
_LOCAL: Final = frozenset(ascii_letters + digits + "!#$%&'*+-/=?^_`{|}~.")
"""What may stand before the @ of an address: the `atext` of RFC 5322, section 3.2.3, and the dot."""
_LABEL: Final = frozenset(ascii_letters + digits + "-")
"""What may stand between the dots of a host name: RFC 1123, section 2.1."""


def without_tags(text: str) -> str:
    """A text without its tags and comments; a `<` that begins neither stays."""
    kept: list[str] = []
    last_end, last_comment_end = text.rfind(">"), text.rfind("-->")
    done, start = 0, text.find("<")
    while 0 <= start < last_end:
        if text.startswith("<!--", start) and start + 4 <= last_comment_end:
            end = text.index("-->", start + 4) + 3
        elif _begins_tag(text, start):
            end = text.index(">", start) + 1
        else:
            start = text.find("<", start + 1)
            continue
        kept.append(text[done:start])
        done, start = end, text.find("<", end)
    return "".join(kept) + text[done:]


def _begins_tag(text: str, start: int) -> bool:
    """Whether a name follows: a letter, then letters and digits, and nothing that would be part of a longer word."""
    at = start + 2 if text.startswith("/", start + 1) else start + 1
    if text[at : at + 1] not in _LETTERS:
        return False
    while text[at : at + 1] in _NAME:
        at += 1
    return text[at : at + 1] != "_"


def with_links(text: str, longest: int | None, nofollow: bool) -> str:
    """A text whose addresses are links that show at most `longest` characters; brackets and stops beside them go."""
    words = ("".join(run) for _, run in groupby(text, key=SPACE.__contains__))
    return "".join(_linked(word, longest, ' rel="nofollow"' if nofollow else "") for word in words)


def _linked(word: str, longest: int | None, attribute: str) -> str:
    address = _bare(word)
    has_scheme = address.startswith(("http://", "https://"))
    if not has_scheme and not address.startswith("www."):
        if _is_email(address):
            return f'<a href="mailto:{address}">{address}</a>'
        if not _has_known_domain(address):
            return word
    shown = address if longest is None else address[: max(0, longest)]
    return f'<a href="{"" if has_scheme else "http://"}{address}"{attribute}>{shown}</a>'


def _bare(word: str) -> str:
    """Without one bracket before it and one bracket, comma or full stop behind it."""
    opening = next(filter(word.startswith, _OPENINGS), "")
    word = word.removeprefix(opening)
    return word.removesuffix(next(filter(word.endswith, _CLOSINGS), ""))


def _is_email(address: str) -> bool:
    local, _, host = address.rpartition("@")
    labels = host.split(".")
    return (
        bool(local)
        and _LOCAL.issuperset(local)
        and len(labels) > 1
        and all(label and _LABEL.issuperset(label) for label in labels)
    )


def _has_known_domain(address: str) -> bool:
    """Whether a well-known domain ends it, or ends before a port or a path."""
    return any(part.endswith(_DOMAINS) for part in address.replace(":", "/").split("/"))
