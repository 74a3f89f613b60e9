"""Responses and messages asked by way of chat completions: nothing is lost, and what has no counterpart is named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.adapters.providers.bridges.bridge import RENAMED, Bridge
from promptship.adapters.providers.untranslatable import Untranslatable
from promptship.routing.api import Api

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FUNCTION = {
    "type": "function",
    "function": {"name": "find", "description": "finds", "parameters": SCHEMA},
}
CALL = {"id": "c-1", "type": "function", "function": {"name": "find", "arguments": '{"a":1}'}}
EXTRA = {"google": {"thought_signature": "c2ln"}}
PICTURE = "data:image/png;base64,QUJD"
SPOKEN = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "hi"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "this:"},
            {"type": "image_url", "image_url": {"url": PICTURE}},
        ],
    },
    {"role": "assistant", "content": "I look.", "tool_calls": [{**CALL, "extra_content": EXTRA}]},
    {"role": "tool", "tool_call_id": "c-1", "content": "found"},
]
ASKED: dict[str, Any] = {
    "model": "m",
    "messages": SPOKEN,
    "max_completion_tokens": 9,
    "temperature": 0.5,
    "user": "u",
    "top_k": 3,
    "tools": [FUNCTION],
    "tool_choice": {"type": "function", "function": {"name": "find"}},
    "parallel_tool_calls": False,
    "response_format": {"type": "json_schema", "json_schema": {"name": "output", "schema": SCHEMA}},
    "reasoning_effort": "low",
    "stream": True,
    "stream_options": {"include_usage": True},
}
RESPONSE: dict[str, Any] = {
    "model": "m",
    "instructions": "Be kind.",
    "input": [
        {"role": "user", "content": "hi"},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "this:"},
                {"type": "input_image", "image_url": PICTURE, "detail": "auto"},
            ],
        },
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {
            "type": "function_call",
            "call_id": "c-1",
            "name": "find",
            "arguments": '{"a":1}',
            "extra_content": EXTRA,
        },
        {"type": "function_call_output", "call_id": "c-1", "output": "found"},
    ],
    "max_output_tokens": 9,
    "temperature": 0.5,
    "user": "u",
    "top_k": 3,
    "tools": [{"type": "function", "name": "find", "description": "finds", "parameters": SCHEMA, "strict": None}],
    "tool_choice": {"type": "function", "name": "find"},
    "parallel_tool_calls": False,
    "text": {"format": {"type": "json_schema", "name": "output", "schema": SCHEMA}, "verbosity": "medium"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "stream": True,
    "store": True,
    "metadata": {"a": "b"},
    "truncation": "disabled",
    "include": ["reasoning.encrypted_content"],
}  # fmt: skip
MESSAGE: dict[str, Any] = {
    "model": "m",
    "system": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "hi"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "this:"},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"},
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "x"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "c-1", "name": "find", "input": {"a": 1}, "extra_content": EXTRA},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "c-1",
                    "content": [{"type": "text", "text": "found"}],
                }
            ],
        },
    ],
    "max_tokens": 9,
    "temperature": 0.5,
    "metadata": {"user_id": "u"},
    "top_k": 3,
    "tools": [{"name": "find", "description": "finds", "input_schema": SCHEMA}],
    "tool_choice": {"type": "tool", "name": "find", "disable_parallel_tool_use": True},
    "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"},
    "stream": True,
    "thinking": {"type": "disabled"},
}


@pytest.mark.parametrize(("api", "fields"), [("responses", RESPONSE), ("messages", MESSAGE)])
def test_the_same_call_is_the_same_chat_completion(api: Api, fields: dict[str, Any]) -> None:
    assert Bridge(api, fields).chat() == ASKED


def test_an_input_that_is_a_text_and_nothing_else_is_asked() -> None:
    assert Bridge("responses", {"model": "m", "input": "hi", "tool_choice": "auto", "tools": []}).chat() == {
        "model": "m", "messages": [{"role": "user", "content": "hi"}]
    }  # fmt: skip
    bare = {"model": "m", "system": "s", "messages": [], "max_tokens": 5, "tool_choice": {"type": "none"}}
    assert Bridge("messages", bare).chat() == {
        "model": "m", "messages": [{"role": "system", "content": "s"}], "max_completion_tokens": 5
    }  # fmt: skip


def in_input(item: dict[str, Any]) -> dict[str, Any]:
    return {"input": [item]}


def in_turn(block: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [block]}]}


@pytest.mark.parametrize(
    ("api", "fields", "field"),
    [
        ("responses", {"previous_response_id": "resp_1"}, "previous_response_id"),
        ("responses", {"conversation": "conv_1"}, "conversation"),
        ("responses", {"truncation": "auto"}, "truncation"),
        ("responses", {"top_logprobs": 3}, "top_logprobs"),
        ("responses", {"include": ["message.output_text.logprobs"]}, "include"),
        ("responses", {"max_tool_calls": 1}, "max_tool_calls"),
        ("responses", {"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ("responses", {"tools": 3}, "tools"),
        ("responses", {"tools": [3]}, "tools[0]"),
        ("responses", {"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ("responses", in_input({"type": "item_reference", "id": "x"}), "input[0].type"),
        ("responses", in_input({"content": [{"type": "input_file"}]}), "input[0].content[0].type"),
        (
            "responses",
            in_input({"content": [{"type": "input_image", "file_id": "x"}]}),
            "input[0].content[0].file_id",
        ),
        (
            "responses",
            in_input({"type": "function_call_output", "output": [{"type": "input_image", "image_url": "x"}]}),
            "input[0].output[0].type",
        ),
        ("messages", {"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking"),
        ("messages", {"mcp_servers": [{}]}, "mcp_servers"),
        ("messages", {"container": "x"}, "container"),
        ("messages", {"tools": [{"type": "web_search_20250305", "name": "x"}]}, "tools[0].type"),
        ("messages", {"tool_choice": {"type": "other"}}, "tool_choice"),
        ("messages", {"tool_choice": "auto"}, "tool_choice"),
        ("messages", in_turn({"type": "document"}), "messages[0].content[0].type"),
        (
            "messages",
            in_turn({"type": "image", "source": {"type": "file"}}),
            "messages[0].content[0].source.type",
        ),
        (
            "messages",
            in_turn({"type": "tool_result", "content": [{"type": "image"}]}),
            "messages[0].content[0].content[0].type",
        ),
    ],
)
def test_what_has_no_counterpart_is_named(api: Api, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        Bridge(api, {"model": "m", "tools": [FUNCTION], **fields}).chat()
    assert (caught.value.field, bool(caught.value.why)) == (field, True)


def test_errors_speak_of_the_fields_that_the_client_knows() -> None:
    error = Untranslatable("reasoning_effort", "no").told_as(RENAMED["messages"])
    assert str(error) == "output_config.effort: no"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=40)
@given(
    st.sampled_from(["responses", "messages"]),
    st.dictionaries(st.sampled_from(sorted({*RESPONSE, *MESSAGE} - {"stream"})), JSON, max_size=4),
)
def test_nonsense_is_a_mistake_of_the_client_never_a_fault_of_ours(api: Api, fields: dict[str, Any]) -> None:
    try:
        made = Bridge(api, {"model": "m", **fields}).chat()
    except Untranslatable:
        return
    assert isinstance(made["messages"], list)
