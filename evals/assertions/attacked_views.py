"""Other readings of an answer: a model that was asked in base64 may answer in base64, and a leak spelled backwards is a leak."""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import unicodedata
from collections.abc import Iterator
from typing import Final

_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2}[ :,]?){6,}")
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
    yield from _decoded(text)


def normalised(text: str) -> str:
    """NFKC without invisible characters, look-alikes as Latin letters."""
    visible = (char for char in unicodedata.normalize("NFKC", text) if unicodedata.category(char) != "Cf")
    return "".join(visible).translate(_LATIN)


def bare(text: str) -> str:
    """Lower-case letters and digits only, with digits read as the letters they replace: for spaced or leet words."""
    return "".join(char for char in normalised(text).casefold().translate(_PLAIN_LEET) if char.isalnum())


def _decoded(text: str) -> Iterator[str]:
    for count, found in enumerate(_BASE64.finditer(text)):
        if count >= _ENCODED_MAX:
            break
        piece = found.group().replace("-", "+").replace("_", "/").rstrip("=")
        try:
            yield base64.b64decode(piece + "=" * (-len(piece) % 4)).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
    for count, found in enumerate(_HEX.finditer(text)):
        if count >= _ENCODED_MAX:
            break
        try:
            yield bytes.fromhex(re.sub(r"[ :,]", "", found.group())).decode()
        except (ValueError, UnicodeDecodeError):
            continue
