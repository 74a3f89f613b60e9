"""The artifact: a prompt as a value, whatever file format it came from."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Role = Literal["system", "developer", "user", "assistant", "tool"]

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,99}$"
VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"


class Frozen(BaseModel):
    """Immutable, and an unknown key is an error: a typo must never be a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class VariableType(StrEnum):
    """JSON's types. `integer` accepts no `1.0` and no `true`; `number` accepts integers."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    ARRAY = "array"
    OBJECT = "object"


class RiskClass(StrEnum):
    """How much harm a bad answer does. `high` may ask for more approvers (release plan)."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Variable(Frozen):
    """A typed input of a template.

    `untrusted`: the value is written by an end user (or a document), so lint wants it delimited and out of system
    messages. `examples` are used by lint (types, token budget) and never reach the model.
    """

    type: VariableType = VariableType.STRING
    description: str = ""
    required: bool = True
    default: Any = None
    examples: tuple[Any, ...] = ()
    enum: tuple[Any, ...] | None = None
    untrusted: bool = False


class Message(Frozen):
    """One chat message; `content` is a sandboxed Jinja2 template."""

    role: Role
    content: str
    name: str | None = None


class Tool(Frozen):
    """A function the model may call; `parameters` is a JSON Schema."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)


class Prompt(Frozen):
    """A prompt: what is sent to which model, with typed inputs, and who answers for it.

    What the model sees (messages, model, parameters, tools, output_schema, and the variables' types and defaults) makes
    the version's digest; the rest (description, owner, risk, examples, release) is about the prompt and does not.
    """

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    messages: Annotated[tuple[Message, ...], Field(min_length=1)]
    model: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    variables: dict[str, Variable] = Field(default_factory=dict)
    output_schema: dict[str, Any] | None = None
    tools: tuple[Tool, ...] = ()
    description: str = ""
    owner: str | None = None
    risk: RiskClass = RiskClass.LOW
    release: dict[str, Any] = Field(default_factory=dict)
    """Raw `release:` block; `promptship.release.plan` types it."""

    @field_validator("variables")
    @classmethod
    def _names(cls, variables: dict[str, Variable]) -> dict[str, Variable]:
        for name in variables:
            if not re.match(VARIABLE_PATTERN, name):
                message = f"variable name {name!r} is not an identifier (letters, digits, underscore)"
                raise ValueError(message)
        return variables


class SourceMap(Frozen):
    """Where the parts of a prompt stand in its file.

    `lines["messages[0].content"]` is the 1-based line where the text of that content begins (for a block scalar: the line
    after the `|`). Missing keys: unknown, use 1.
    """

    path: str
    lines: dict[str, int] = Field(default_factory=dict)

    def line(self, key: str) -> int:
        """Line of a key, or of its nearest known parent, or 1."""
        while key:
            if key in self.lines:
                return self.lines[key]
            parent = re.sub(r"(\.[^.\[\]]+|\[[^\]]*\])$", "", key)
            key = parent if parent != key else ""
        return 1


class Loaded(Frozen):
    """A prompt together with the file it was read from."""

    prompt: Prompt
    source: SourceMap
