"""What one API can ask and another provider cannot be asked."""

from __future__ import annotations

from collections.abc import Mapping


class Untranslatable(Exception):
    """A part of a call that has no counterpart at the provider: never left out silently. `field` is where it stands."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}" if field else why)
        self.field = field
        self.why = why

    def told_as(self, names: Mapping[str, str]) -> Untranslatable:
        """With the field's name in the API that the client speaks."""
        return Untranslatable(names.get(self.field, self.field), self.why)
