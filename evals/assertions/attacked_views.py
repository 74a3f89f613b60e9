"""Other readings of an answer: a model that was asked in base64 may answer in base64, and a leak spelled backwards is a leak."""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import unicodedata
from collections.abc import Iterator
from itertools import islice
from typing import Final

_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")
_HEX: Final = re.compile(r"(?:(?:0x|\\x)?[0-9a-fA-F]{2}[ :,]?){6,}")
_NOT_HEX: Final = re.compile(r"0x|\\x|[ :,]")
_FOLDED: Final = re.compile(
    r"(?<=[A-Za-z0-9+/_-]{8})[ \t]*\r?\n[ \t]*(?=[A-Za-z0-9+/_-]{2,}={0,2}\s*(?:\n|$|`))"
)
"""Line ends inside of an encoded text."""
_PLAIN_LEET: Final = str.maketrans("4310579@$", "aeiostgas")
_LATIN: Final = str.maketrans("асеіорхуАСЕНКМОРТХ", "aceiopxyACEHKMOPTX")  # noqa: RUF001 - Cyrillic look-alikes
_ENCODED_MAX: Final = 200
"""Encoded pieces of one answer that are read."""


def views(text: str) -> Iterator[str]:
    """The text, then every other way it can be read: decoded, turned around, with look-alikes and invisible characters undone."""
    yield text
    yield normalised(text)
    yield text[::-1]
    yield codecs.decode(text, "rot13")
    folded = _FOLDED.sub("", text)
    yield from _decoded(text)
    if folded != text:
        yield from _decoded(folded)


def normalised(text: str) -> str:
    """NFKC without invisible characters, look-alikes as Latin letters."""
    visible = (char for char in unicodedata.normalize("NFKC", text) if unicodedata.category(char) != "Cf")
    return "".join(visible).translate(_LATIN)


def bare(text: str) -> str:
    """Lower-case letters and digits only, with digits read as the letters they replace: for spaced or leet words."""
    return "".join(char for char in normalised(text).casefold().translate(_PLAIN_LEET) if char.isalnum())


def encoded(text: str) -> Iterator[str]:
    """Pieces that may be base64 or hexadecimal, as they stand; also what is written backwards or in ROT13 stays as it is."""
    for pattern in (_BASE64, _HEX):
        yield from (
            found.group().strip()
            for found in islice(pattern.finditer(text), _ENCODED_MAX)
            if len(found.group()) > _WORD
        )


_WORD: Final = 16
"""Longer ones are seldom words."""


def _decoded(text: str) -> Iterator[str]:
    for found in islice(_BASE64.finditer(text), _ENCODED_MAX):
        piece = found.group().replace("-", "+").replace("_", "/").rstrip("=")
        try:
            yield base64.b64decode(piece + "=" * (-len(piece) % 4)).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
    for found in islice(_HEX.finditer(text), _ENCODED_MAX):
        try:
            yield bytes.fromhex(_NOT_HEX.sub("", found.group())).decode()
        except (ValueError, UnicodeDecodeError):
            continue
