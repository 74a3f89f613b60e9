"""What every section of promptship.toml is made of."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=0, le=65535)]
"""TCP port; 0 picks a free one where a server starts."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""Hex digits of a SHA-256."""


class Section(BaseModel):
    """A table of the file. Unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def pattern(text: str) -> str:
    """The text, when it is a regular expression. Raises ValueError."""
    try:
        re.compile(text)
    except re.error as error:
        message = f"expected a regular expression: {error}"
        raise ValueError(message) from None
    return text
