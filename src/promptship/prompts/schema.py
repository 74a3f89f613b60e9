"""JSON Schema of the native format, for editors."""

from __future__ import annotations

from typing import Any

from promptship.prompts.model import VARIABLE_PATTERN, Prompt


def prompt_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of a `.prompt.yaml` file. `name` is optional there: it defaults to the file's name."""
    schema = Prompt.model_json_schema()
    schema["required"] = ["messages"]
    schema["description"] = (
        "A prompt: what is sent to which model, with typed inputs, and who answers for it."
    )
    schema["properties"]["$schema"] = {"type": "string"}
    schema["properties"]["variables"]["propertyNames"] = {"pattern": VARIABLE_PATTERN}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "promptship prompt"}
