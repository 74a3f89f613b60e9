"""Who may be in an experiment with a prompt. A part of its plan: read from the released commit and frozen with the release.

The rules are over attributes that come with a request (`promptship.routing.eligibility` decides by them). Nothing here
names a person, so a policy may stand in the ledger, in routes and in front of everybody.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    field_validator,
)

NAME_PATTERN: Final = r"^[a-z][a-z0-9_]{0,39}$"
"""Of an attribute."""
CONSENT: Final = "consent"
"""The attribute that says, as `true`, that this person agreed to take part."""
APPLICATION: Final = "application"
"""The attribute that names who asks; where a gateway knows the application by its key, the key's name and nothing else."""
DISCLOSURE_CHARACTERS_MAX: Final = 300


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


_Text = Annotated[StrictStr, Field(min_length=1, max_length=200)]
Value = StrictBool | StrictInt | StrictFloat | _Text
Values = Annotated[
    tuple[Value, ...],
    Field(min_length=1, max_length=300),
    BeforeValidator(_listed, json_schema_input_type=Value | tuple[Value, ...]),
]
Rules = dict[Annotated[str, Field(pattern=NAME_PATTERN)], Values]
"""Attribute -> the values that are meant; one value may stand without a list."""


class Experiment(BaseModel):
    """Who may be randomised while a release is in its canary. Whoever may not gets stable, outside the experiment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allowed: bool = True
    """False: no experiment with this prompt. The candidate gets no traffic until a person has approved it."""
    exclude: Rules = Field(default_factory=dict)
    """Attributes that keep a request out: any one of them is enough. `{minor = true, region = ["br", "kr"]}`."""
    exclude_unknown: bool = True
    """Whether a request is kept out, too, that does not say an attribute of `exclude`: not known to be an adult is not an adult."""
    segments: Rules = Field(default_factory=dict)
    """Only requests that say all of these attributes, each with one of its values, take part. `{plan = "pro"}`."""
    consent: Literal["required", "not_required"] = "not_required"
    """`required`: only requests with the attribute `consent = true` take part."""
    disclosure: Annotated[str, Field(max_length=DISCLOSURE_CHARACTERS_MAX)] = ""
    """Told in a header to everybody in the experiment, in both arms: told to one arm only, it would be part of what is compared."""

    @field_validator("disclosure")
    @classmethod
    def _is_one_line(cls, text: str) -> str:
        if not text.isprintable():
            raise ValueError("a header holds one line, without control characters")
        return text

    @property
    def restricts(self) -> bool:
        """Whether anybody is kept out."""
        return not self.allowed or bool(self.exclude) or bool(self.segments) or self.consent == "required"


def comparable(value: object) -> tuple[str, object]:
    """(kind, value as it is compared); the kind is empty where there is none. Texts are equal whatever their case."""
    if isinstance(value, bool):  # before numbers: unlike in Python, true is not 1
        return "truth", value
    if isinstance(value, int | float):
        return "number", value
    if isinstance(value, str):
        return "text", value.strip().casefold()
    return "", None
