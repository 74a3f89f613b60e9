"""A diff loses nothing, and is empty exactly when the model sees the same."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.prompts.diff import Change, Op, diff, new_text, old_text, words
from promptship.prompts.diff_text import to_markdown, to_text
from promptship.prompts.digest import digest
from promptship.prompts.model import Message, Prompt
from tests.property.prompt_values import json_values, messages, prompts, texts

sentences = st.lists(
    st.sampled_from(["a", "be", "cat", " ", "  ", "\n", ".", ",", "\r\n", "é"]), max_size=25
).map("".join)


@settings(max_examples=100, deadline=None)
@given(sentences | texts, sentences | texts)
def test_hunks_give_both_texts_back(before: str, after: str) -> None:
    hunks = words(before, after)

    assert old_text(hunks) == before
    assert new_text(hunks) == after
    assert all(hunk.text for hunk in hunks)
    assert all(hunk.op is Op.EQUAL for hunk in hunks) == (before == after)
    assert not any(one.op is other.op for one, other in pairwise(hunks))


@settings(max_examples=40, deadline=None)
@given(st.lists(messages, min_size=1, max_size=5), st.lists(messages, min_size=1, max_size=5), st.data())
def test_every_message_is_shown_once_on_each_side(
    old: list[Message], new: list[Message], data: st.DataObject
) -> None:
    new = data.draw(st.permutations([*new, *old[: data.draw(st.integers(0, 3))]]))
    before, after = (Prompt(name="p", messages=tuple(side)) for side in (old, new))

    shown = diff(before, after).messages

    assert sorted(m.before_index for m in shown if m.before_index is not None) == list(range(len(old)))
    assert [m.after_index for m in shown if m.after_index is not None] == list(range(len(new)))
    for message in shown:
        assert old_text(message.hunks) == (
            "" if message.before_index is None else old[message.before_index].content
        )
        assert new_text(message.hunks) == (
            "" if message.after_index is None else new[message.after_index].content
        )
        assert (message.before_index is None) == (message.change is Change.ADDED)
        assert (message.after_index is None) == (message.change is Change.REMOVED)


@settings(max_examples=30, deadline=None)
@given(prompts, prompts, st.data())
def test_it_is_empty_exactly_when_the_digests_are_equal(
    one: Prompt, other: Prompt, data: st.DataObject
) -> None:
    fields = data.draw(st.sets(st.sampled_from(sorted(Prompt.model_fields))))
    mixed = one.model_copy(update={field: getattr(other, field) for field in fields})

    for before, after in ((one, mixed), (mixed, one), (one, other), (one, one)):
        assert diff(before, after).empty == (digest(before) == digest(after))


@settings(max_examples=40, deadline=None)
@given(json_values, json_values)
def test_values_are_compared_as_json(before: object, after: object) -> None:
    one, other = (
        Prompt(name="p", messages=(Message(role="user", content="x"),), parameters={"v": value})
        for value in (before, after)
    )

    assert diff(one, other).empty == (digest(one) == digest(other))


@settings(max_examples=30, deadline=None)
@given(prompts, prompts)
def test_the_text_is_safe_to_print(one: Prompt, other: Prompt) -> None:
    changes = diff(one, other)

    for text in (to_text(changes), to_markdown(changes)):
        assert not [char for char in text if ord(char) < 0x20 and char not in "\n\t"]
        assert text.endswith("\n")
