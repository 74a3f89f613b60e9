"""Hypothesis strategies for prompts: every value a prompt may have, with the nasty ones on purpose."""

import random
from typing import Any

from hypothesis import strategies as st

from promptship.prompts.model import Message, Prompt, RiskClass, Tool, Variable, VariableType

NASTY = [
    "", " ", "\n", "\r", "\r\n", "\t", "a\n", "a\n\n", "\na", " a", "a ", "a \nb", "a\t\n\tb", "a\r\nb", "\x00", "\x85", "a\x85b",
    "\u2028", "a\u2029b\n", "\ufeffa\nb", "\x1b[31m", "'", '"', "\\", "{{ x }}", "{% if %}", "{#", "{", "---\na\n---\n", "# no", "- a",
    "a: b", "a #b", "? a", "&a", "*a", "!a", "|", ">", "%", "@", "`", "~", "null", "yes", "No", "on", "1e3", "0x1f", "0o7", "012",
    "1_000", "1:30", "2024-01-01", "=", "<<", ".inf", "-.nan", "true", "  a\n b\n", "\n\n a", "a\n   \nb", "😀\n", "é", "\U0010ffff\na", "...",
    "a\n---\nb", "a\n...\nb\n", "a" * 200, "[", "]", "a,b", ":", "a:\n", "-\n", "\x7f\n",
]  # fmt: skip

chars = st.characters(codec="utf-8")
texts = st.one_of(
    st.sampled_from(NASTY),
    st.text(chars, max_size=12),
    st.text(st.sampled_from("ab \t\n\r:#-'\"{}%|"), max_size=20),
    st.lists(st.sampled_from(NASTY), max_size=4).map("".join),
)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)


def objects_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(texts, inner, max_size=3)


scalars = st.none() | st.booleans() | numbers | texts
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | objects_of(inner), max_leaves=6
)
names = st.sampled_from(["a", "b", "_", "A1", "not_given", "xs"])


objects = objects_of(json_values)
messages = st.builds(
    Message,
    role=st.sampled_from(["system", "developer", "user", "assistant", "tool"]),
    content=texts,
    name=st.none() | texts,
)
variables = st.builds(
    Variable,
    type=st.sampled_from(VariableType),
    description=texts,
    required=st.booleans(),
    default=json_values,
    examples=st.lists(json_values, max_size=2).map(tuple),
    enum=st.none() | st.lists(json_values, max_size=2).map(tuple),
    untrusted=st.booleans(),
)
tools = st.builds(
    Tool, name=st.sampled_from(["t", "look_up", "-", "0"]), description=texts, parameters=objects
)
prompts = st.builds(
    Prompt,
    name=st.sampled_from(["p", "0", "1e3", "a.b-c_d", "null", "2024-01-01"]),
    messages=st.lists(messages, min_size=1, max_size=3).map(tuple),
    model=st.none() | texts,
    parameters=objects,
    variables=st.dictionaries(names, variables, max_size=2),
    output_schema=st.none() | objects,
    tools=st.lists(tools, max_size=2).map(tuple),
    description=texts,
    owner=st.none() | texts,
    risk=st.sampled_from(RiskClass),
    release=objects,
)


def shuffled(value: Any, seed: int) -> Any:
    """The same JSON value with the keys of every object in another order."""
    if isinstance(value, dict):
        keys = list(value)
        random.Random(seed).shuffle(keys)
        return {key: shuffled(value[key], seed) for key in keys}
    return [shuffled(item, seed) for item in value] if isinstance(value, list) else value
