"""What the name of a model says: family, version, and whether it is a fixed snapshot. Pure; vendors' styles differ, the parts do not.

A family is what a team chose when it chose a model: vendor's line and size (`gpt-mini`, `claude-sonnet`, `gemini-flash-lite`,
`llama-70b-instruct`). Versions, dates, and words such as `preview` say which of the family. A name without a date or a fixed number is an
alias: what answers under it may change.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_REGION: Final = re.compile(r"^(?:us|eu|apac|global|jp|au|us-gov)\.")
_BEDROCK: Final = re.compile(
    r"^(?:ai21|amazon|anthropic|cohere|deepseek|google|meta|mistral|nvidia|openai|qwen|stability|writer)\."
)
_REVISION: Final = re.compile(r"-v\d+(?::\d+)?(?::\d+k)?$")
"""Bedrock: `-v1:0`."""
_DATES: Final = (
    re.compile(r"[-@](?P<y>20\d\d)-(?P<m>[01]\d)-(?P<d>[0-3]\d)(?=$|-)"),
    re.compile(r"[-@](?P<y>20\d\d)(?P<m>[01]\d)(?P<d>[0-3]\d)(?=$|-)"),
    re.compile(r"-(?P<m>[01]\d)-(?P<y>20\d\d)(?=$|-)"),
    re.compile(r"-(?P<y>2[3-9])(?P<m>0[1-9]|1[0-2])(?=$|-)"),  # mistral-large-2411
    re.compile(r"-(?P<m>0[1-9]|1[0-2])-(?P<d>[0-3]\d)(?=$|-)"),  # gemini-2.5-flash-preview-09-25
    re.compile(r"-(?P<m>0[1-9]|1[0-2])(?P<d>[0-3]\d)(?=$|-)"),  # gpt-4-0613
)
_FIXED: Final = re.compile(r"-(00\d)$")
"""Gemini: `gemini-2.0-flash-001` never changes."""
_STATES: Final = frozenset(
    {"latest", "preview", "exp", "experimental", "beta", "alpha", "stable", "it", "free"}
)
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)*")
_WITH_LETTERS: Final = re.compile(r"(?P<word>[a-z]*?)(?P<number>\d+(?:\.\d+)*)(?P<after>[a-z]?)")
_SIZE: Final = re.compile(r"(?:a?\d+(?:\.\d+)?[bm]|\d+x\d+(?:\.\d+)?b|\d+e|\d+k)")
"""`70b`, `a22b`, `8x7b`, `16e`, `32k`: part of the family, no version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelName:
    """A name, understood."""

    name: str
    family: str
    """Equal for every version of the same line and size; never empty."""
    version: tuple[int, ...] = ()
    """`(5, 2)` of `gpt-5.2-mini`; empty: the name has none."""
    snapshot: str = ""
    """Date or fixed number in the name, comparable as text within a style; empty: an alias, which may point elsewhere tomorrow."""
    preview: bool = False
    """The vendor says itself that it is not final."""

    @property
    def is_alias(self) -> bool:
        """Whether what answers under the name may change."""
        return not self.snapshot

    def succeeds(self, other: ModelName) -> bool:
        """Whether it is a later one of the same family: a higher version, or the same version of a later date."""
        if self.family != other.family or self.name == other.name:
            return False
        mine, theirs = _padded(self.version, other.version)
        if mine != theirs:
            return mine > theirs
        return bool(self.snapshot) and self.snapshot > other.snapshot


@lru_cache(maxsize=4096)
def understood(name: str) -> ModelName:
    """Take a name apart. Prefixes of routers and regions (`openai/`, `models/`, `us.anthropic.`) do not count."""
    plain = name.strip().lower()
    if plain.startswith("ft:"):  # somebody's own: nobody else makes a newer one
        return ModelName(name=name, family=plain, snapshot=plain.rpartition(":")[2] or "ft")
    plain = plain.rpartition("/")[2] or plain
    plain = _BEDROCK.sub("", _REGION.sub("", plain))
    plain = _REVISION.sub("", plain).partition(":free")[0].replace("_", "-").replace(" ", "-")
    plain, snapshot = _snapshot(plain)
    words: list[str] = []
    version: list[int] = []
    preview = False
    for word in filter(None, re.split(r"[-:@]", plain)):
        if word in _STATES:
            preview = preview or word in {"preview", "exp", "experimental", "beta", "alpha"}
        elif _SIZE.fullmatch(word):
            words.append(word)
        elif _NUMBER.fullmatch(word):
            version += [int(part) for part in word.split(".")]
        elif (found := _WITH_LETTERS.fullmatch(word)) is not None:
            # llama3.1, v3, o4, 4o: the letters before the number are the line, a letter after it belongs to the version.
            version += [int(part) for part in found["number"].split(".")]
            words += [found["word"]] if found["word"] not in {"", "v"} else []
        else:
            words.append(word)
    family = "-".join(words) or plain or name
    return ModelName(name=name, family=family, version=tuple(version), snapshot=snapshot, preview=preview)


def _snapshot(name: str) -> tuple[str, str]:
    """The name without its date, and the date as `YYYYMMDD`, as far as it is there."""
    if (fixed := _FIXED.search(name)) is not None:
        return name[: fixed.start()], fixed[1]
    for pattern in _DATES:
        found = pattern.search(name)
        if found is not None and found.start() > 0:
            parts = found.groupdict()
            year = f"20{parts['y'][-2:]}" if parts.get("y") else "0000"
            return name[: found.start()] + name[found.end() :], year + parts["m"] + (parts.get("d") or "00")
    return name, ""


def _padded(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """5 and 5.0 are the same version."""
    length = max(len(one), len(other))
    return one + (0,) * (length - len(one)), other + (0,) * (length - len(other))
