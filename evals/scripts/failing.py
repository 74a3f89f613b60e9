"""How a script of a limited process fails. Standard library only."""

from __future__ import annotations

from typing import Final

DETAIL_CHARACTERS_MAX: Final = 500


class Failed(Exception):
    """No value. `raised`: the script itself is why; False: a limit, or something that is missing here."""

    def __init__(
        self, reason: str, detail: str = "", *, asserted: bool = False, raised: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail[:DETAIL_CHARACTERS_MAX]
        self.asserted = asserted
        self.raised = raised

    def as_json(self) -> dict[str, str | bool]:
        """For the answer."""
        return {
            "reason": self.reason,
            "detail": self.detail,
            "asserted": self.asserted,
            "raised": self.raised,
        }


def too_long(limit_s: float) -> Failed:
    """It did not end in time."""
    return Failed(f"the script took longer than {limit_s:g} s")


def too_much_memory() -> Failed:
    """It wanted more than it may have."""
    return Failed("the script needs more memory than it may have")
