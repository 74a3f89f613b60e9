"""Our own format: YAML whose keys are the fields of `Prompt`. The JSON Schema is `promptship.prompts.schema.prompt_schema`."""

from __future__ import annotations

from promptship.prompts.formats.draft import Draft
from promptship.prompts.formats.yaml_tree import read_yaml
from promptship.prompts.json_values import shown


def read(draft: Draft, text: str) -> None:
    """Fill the draft from native YAML."""
    values = read_yaml(draft, text)
    if values is None:
        draft.wrong("", "an empty file", "expected a prompt: at least `messages`")
        raise draft.fail()
    if not isinstance(values, dict):
        draft.wrong("", shown(values), "expected keys and values: at least `messages`")
        raise draft.fail()
    draft.values = values
