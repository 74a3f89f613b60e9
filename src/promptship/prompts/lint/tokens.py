"""How many tokens a prompt takes, without a tokeniser and without the network.

The estimate is UTF-8 bytes / 3, rounded up, plus 4 tokens per message and 3 to open the answer. It is made to be too high
rather than too low: English has about 4 bytes per token in current tokenisers, source code about 3.5, Chinese and Japanese
about 3 (one character), so real prompts stay below it. Only long runs of digits, rare scripts or emoji can exceed it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from promptship.errors import PromptshipError
from promptship.prompts.model import Prompt, Variable, VariableType
from promptship.prompts.render import render
from promptship.prompts.variables import misfit

BYTES_PER_TOKEN: Final = 3
TOKENS_PER_MESSAGE: Final = 4
TOKENS_TO_ANSWER: Final = 3
OUTPUT_KEYS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""Parameters that reserve room for the answer, under the names of different providers."""

_EMPTY: Final[Mapping[VariableType, Any]] = {
    VariableType.STRING: "",
    VariableType.INTEGER: 0,
    VariableType.NUMBER: 0,
    VariableType.BOOLEAN: False,
    VariableType.ARRAY: [],
    VariableType.OBJECT: {},
}


def estimate_tokens(text: str) -> int:
    """Tokens of a text, estimated high (see the module)."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def budget(prompt: Prompt) -> tuple[int, int] | None:
    """(tokens sent, tokens reserved for the answer) with the largest example of every variable.

    Tools and the response schema count with their JSON. A variable without example, enum or default counts as empty.

    None when the prompt cannot be rendered with its own examples; other rules say why.
    """
    values = {name: _largest(variable) for name, variable in prompt.variables.items()}
    try:
        rendered = render(prompt, values)
    except PromptshipError:
        return None
    sent = TOKENS_TO_ANSWER + sum(
        TOKENS_PER_MESSAGE + estimate_tokens(str(message["content"])) for message in rendered.messages
    )
    for tool in prompt.tools:
        sent += estimate_tokens(json.dumps(tool.model_dump(mode="json"), ensure_ascii=False))
    if prompt.output_schema is not None:
        sent += estimate_tokens(json.dumps(prompt.output_schema, ensure_ascii=False, default=str))
    return sent, _reserved(prompt.parameters)


def _largest(variable: Variable) -> Any:
    """The example (or enum value, or default) that takes most room; an empty value when there is none that fits."""
    choices = [*variable.examples, *(variable.enum or ()), variable.default]
    fitting = [choice for choice in choices if choice is not None and not misfit(variable, choice)]
    return max(fitting, key=_size, default=_EMPTY[variable.type])


def _size(value: Any) -> int:
    return len(str(value).encode("utf-8", "surrogatepass"))


def _reserved(parameters: Mapping[str, Any]) -> int:
    stated = [parameters.get(key) for key in OUTPUT_KEYS]
    return max(
        (value for value in stated if isinstance(value, int) and not isinstance(value, bool)), default=0
    )
