"""Personal data in a text: numbers with check digits, and contact details. Found by shape, then by arithmetic."""

from __future__ import annotations

import re
from typing import Final

from promptship.prompts.lint.secrets import Hit

_CARD = re.compile(r"(?<![\w.+/-])\d(?:[ -]?\d){12,18}(?![\w/-]|\.\d)")
_CARD_PREFIX = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|6\d{15,18}|35\d{14}"
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?![A-Za-z0-9])")
_SSN = re.compile(r"(?<![\w-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])")
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@((?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24})(?![\w-])"
)
_PHONE_ABROAD = re.compile(r"(?<![\w+.-])\+[1-9](?:[ ().-]{0,2}\d){7,14}(?![\w-])")
_PHONE_US = re.compile(r"(?<![\w.+-])(?:\(\d{3}\) ?|\d{3}[ -])\d{3}[ -]\d{4}(?![\w-])")

# Lengths from the SWIFT IBAN registry: the country's length makes a chance hit of the check digits rare.
_IBAN_LENGTHS: Final = {
    "AD": 24, "AE": 23, "AT": 20, "BE": 16, "BG": 22, "BR": 29, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18,
    "EE": 20, "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GI": 23, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IL": 23,
    "IS": 26, "IT": 27, "KW": 30, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15,
    "PL": 28, "PT": 25, "QA": 29, "RO": 24, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TR": 26, "UA": 29,
}  # fmt: skip

_RESERVED_DOMAIN = re.compile(
    r"(?:^|\.)(?:example(?:\.(?:com|net|org))?|test|invalid|localhost)$", re.IGNORECASE
)
_ROLE = re.compile(
    r"(?:abuse|admin|billing|careers|contact|feedback|hello|help|helpdesk|info|jobs|legal|mail|marketing|no-?reply|office"
    r"|orders|postmaster|press|privacy|returns|sales|security|service|support|team|webmaster)(?:[+.-].*)?",
    re.IGNORECASE,
)
_TOLL_FREE = re.compile(r"1?8(?:00|33|44|55|66|77|88)")
_FICTITIOUS = re.compile(r"1?\d{3}55501\d\d")


def luhn(digits: str) -> bool:
    """Check digit of payment cards (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)  # noqa: PLR2004 - cross sum of a two-digit product
    return total % 10 == 0


def iban_valid(iban: str) -> bool:
    """Country, length and check digits (ISO 13616; remainder 1 modulo 97) of an IBAN without spaces."""
    if _IBAN_LENGTHS.get(iban[:2]) != len(iban):
        return False
    return int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1


def personal_numbers_in(line: str) -> tuple[Hit, ...]:
    """Payment cards, IBANs and US social security numbers in one line."""
    hits = [Hit(*match.span(), "a US social security number") for match in _SSN.finditer(line)]
    for match in _CARD.finditer(line):
        digits = re.sub(r"\D", "", match.group())
        if _CARD_PREFIX.fullmatch(digits) and luhn(digits) and len(set(digits)) > 1:
            hits.append(Hit(*match.span(), "a payment card number"))
    ibans = ((match.start(), _iban_end(match.group())) for match in _IBAN.finditer(line))
    hits += [Hit(start, start + length, "an IBAN") for start, length in ibans if length]
    return tuple(sorted(hits))


def contacts_in(line: str, *, allowed: str = "") -> tuple[Hit, ...]:
    """E-mail addresses and phone numbers of people in one line.

    Not meant: reserved domains (example.com, .test), role addresses (support@), toll-free and fictitious (555-01xx)
    numbers, and whatever stands in `allowed` (the prompt's owner).
    """
    hits = []
    for match in _EMAIL.finditer(line):
        local = match.group().partition("@")[0]
        public = _RESERVED_DOMAIN.search(match.group(1)) or _ROLE.fullmatch(local)
        if not public and match.group().lower() not in allowed.lower():
            hits.append(Hit(*match.span(), "an e-mail address"))
    for match in (*_PHONE_ABROAD.finditer(line), *_PHONE_US.finditer(line)):
        digits = re.sub(r"\D", "", match.group())
        if not _TOLL_FREE.match(digits) and not _FICTITIOUS.fullmatch(digits):
            hits.append(Hit(*match.span(), "a phone number"))
    return tuple(sorted(hits))


def _iban_end(text: str) -> int:
    """Length of the IBAN that `text` begins with (a word may follow it after a space), or 0."""
    length, seen = _IBAN_LENGTHS.get(text[:2], 0), 0
    for end, character in enumerate(text, start=1):
        seen += character != " "
        if seen == length:
            rest = text[end:]
            whole = not rest or rest.startswith(" ")
            return end if whole and iban_valid(text[:end].replace(" ", "")) else 0
    return 0
