"""What programs print for terminals: colours and the like, which no model should see."""

from __future__ import annotations

import re
from typing import Final

# ECMA-48 (5th edition) names characters by column and row of the code table: 02/00 is 0x20. A sequence is
#   CSI, section 5.4: ESC [ or 0x9B, parameters 03/00-03/15, intermediates 02/00-02/15, a final of 04/00-07/14;
#   a control string, section 5.6: ESC P, X, ], ^ or _ up to ST, which is ESC \ or 0x9C; terminals take BEL for it, too;
#   any other escape sequence, ECMA-35 section 13.2: ESC, intermediates, a final of 03/00-07/14.
_INTERMEDIATES: Final = r"[\x20-\x2f]*"
_CONTROL_SEQUENCE: Final = rf"(?:\x1b\[|\x9b)[\x30-\x3f]*{_INTERMEDIATES}[\x40-\x7e]"
_CONTROL_STRING: Final = r"\x1b[P\]X^_][^\x07\x1b\x9c]*(?:\x1b\\|[\x07\x9c])"
_ESCAPE_SEQUENCE: Final = rf"\x1b(?!\[){_INTERMEDIATES}[\x30-\x7e]"
_SEQUENCE: Final = re.compile(f"{_CONTROL_SEQUENCE}|{_CONTROL_STRING}|{_ESCAPE_SEQUENCE}")


def without_sequences(text: str) -> str:
    """A text without the control sequences of ECMA-48; one that is cut off stays."""
    return _SEQUENCE.sub("", text) if "\x1b" in text or "\x9b" in text else text
