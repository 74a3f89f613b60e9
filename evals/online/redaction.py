"""What is taken out of a text before it is kept, or before a judge of another provider reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from promptship.prompts.lint.personal import personal_numbers_in
from promptship.render.redact import redact

_EMAIL: Final = re.compile(r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}")
_PHONES: Final = (
    re.compile(r"(?<![\w+.-])(?:\+|00)[1-9](?:[ ()./-]{0,2}\d){7,14}(?![\w-])"),
    re.compile(r"(?<![\w.+-])(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\w-])"),
    re.compile(r"(?<![\w.+-])0\d{1,4}[ /-]\d(?:[ /-]?\d){4,9}(?![\w-])"),
)
"""With a country code; in the United States' form; in the form of countries that dial a 0 first."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """Rules in force: e-mail, phone, card, IBAN, US social security number, keys and secrets, and the settings' own patterns."""

    own: tuple[re.Pattern[str], ...] = ()

    @classmethod
    def of(cls, patterns: tuple[str, ...]) -> Self:
        """With patterns that are known to be regular expressions."""
        return cls(tuple(map(re.compile, patterns)))

    def text(self, text: str) -> str:
        """The text with `[e-mail]`, `[phone]`, `[number]` or `[redacted]` in place of what the rules find."""
        for pattern in self.own:
            text = pattern.sub("[redacted]", text)
        text = redact(text)
        for hit in reversed(personal_numbers_in(text)):
            text = f"{text[: hit.start]}[number]{text[hit.end :]}"
        text = _EMAIL.sub("[e-mail]", text)
        for pattern in _PHONES:
            text = pattern.sub("[phone]", text)
        return text

    def data(self, value: Any) -> Any:
        """The same for every text in nested dicts and lists; keys stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.data(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.data(item) for item in value)
        return value
