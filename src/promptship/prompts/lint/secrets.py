"""Credentials in a text. What is found is described by its kind and place, never repeated."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

ENTROPY_MIN: Final = 3.5
"""Bits per character from which a value assigned to a secret-sounding name is believed to be one; words have 2 to 3.3."""

_PLACEHOLDER = re.compile(
    r"example|placeholder|change.?me|your|dummy|sample|redacted|insert|todo|xxx|\*{3}|\.{3}|<|\{|\$\(",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, order=True)
class Hit:
    """Something found in one line: half-open range of characters, and what it is."""

    start: int
    end: int
    kind: str


def entropy_bits(text: str) -> float:
    """Shannon entropy per character, in bits, of the text's own letter frequencies."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values()) if text else 0.0


def _real(value: str) -> bool:
    return not _PLACEHOLDER.search(value)


def _random(value: str) -> bool:
    """Looks generated: letters and digits mixed, high entropy, no placeholder."""
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return mixed and entropy_bits(value) >= ENTROPY_MIN and _real(value)


@dataclass(frozen=True, slots=True)
class _Shape:
    """A credential's shape; group 1, when there is one, is the secret itself. `believe` drops look-alikes."""

    kind: str
    pattern: re.Pattern[str]
    believe: Callable[[str], bool]


_SHAPES: Final = tuple(
    _Shape(kind, re.compile(pattern), believe)
    for kind, pattern, believe in (
        ("a private key", r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----", lambda _: True),
        ("an AWS access key id", r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])", _real),
        ("a GitHub token", r"(?<![A-Za-z0-9])gh[pousr]_[A-Za-z0-9]{36,255}(?![A-Za-z0-9])", _real),
        ("a GitHub token", r"(?<![A-Za-z0-9])github_pat_[A-Za-z0-9_]{22,255}", _real),
        ("a GitLab token", r"(?<![A-Za-z0-9])glpat-[A-Za-z0-9_-]{20,}", _real),
        ("a Slack token", r"(?<![A-Za-z0-9])xox[abeoprs]-[A-Za-z0-9-]{10,}", _real),
        ("a Slack token", r"(?<![A-Za-z0-9])xapp-\d-[A-Za-z0-9-]{10,}", _real),
        ("a Slack webhook", r"hooks\.slack\.com/services/[A-Z0-9]{6,}/[A-Z0-9]{6,}/[A-Za-z0-9]{16,}", _real),
        ("an Anthropic API key", r"(?<![A-Za-z0-9-])sk-ant-[A-Za-z0-9_-]{20,}", _real),
        ("an OpenAI API key", r"(?<![A-Za-z0-9-])sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,}", _random),
        ("a Google API key", r"(?<![A-Za-z0-9_-])AIza[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])", _real),
        ("a Stripe key", r"(?<![A-Za-z0-9])[rs]k_(?:live|test)_[A-Za-z0-9]{16,}", _real),
        ("a JSON Web Token", r"(?<![\w-])eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}", _real),
        ("a password in a URL", r"[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{1,100}:([^\s/@]{3,100})@", _real),
        (
            "a secret assigned in plain text",
            r"(?i:(?:api|access|private)[_-]?key|secret|token|passw(?:or)?d)[\"']?\s{0,3}[:=]\s{0,3}[\"']?([A-Za-z0-9+/_=.-]{16,})",
            _random,
        ),
    )
)


def secrets_in(line: str) -> tuple[Hit, ...]:
    """Credentials in one line, left to right, without overlaps; the more specific kind wins."""
    hits: list[Hit] = []
    for shape in _SHAPES:
        for match in shape.pattern.finditer(line):
            group = 1 if match.re.groups else 0
            start, end = match.span(group)
            apart = all(end <= hit.start or start >= hit.end for hit in hits)
            if apart and shape.believe(match.group(group)):
                hits.append(Hit(start, end, shape.kind))
    return tuple(sorted(hits))


def masked(line: str, hits: tuple[Hit, ...]) -> str:
    """The line with every hit replaced by as many bullets, so that columns stay where they are."""
    return "".join(_masked(line, hits))


def _masked(line: str, hits: tuple[Hit, ...]) -> Iterator[str]:
    at = 0
    for hit in sorted(hits):
        start = max(at, hit.start)
        yield line[at:start]
        yield "•" * (hit.end - start)
        at = max(at, hit.end)
    yield line[at:]
