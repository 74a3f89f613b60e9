"""How a change is told: by words, by message, by key."""

import pytest

from promptship.prompts.diff import Change, FieldChange, diff, new_text, old_text, words
from promptship.prompts.model import Message, Prompt

SYMBOL = {"equal": "=", "delete": "-", "insert": "+"}


def prompt_of(*messages: tuple[str, str], **more: object) -> Prompt:
    entries = [Message.model_validate({"role": role, "content": text}) for role, text in messages]
    return Prompt.model_validate({"name": "p", "messages": entries, **more})


@pytest.mark.parametrize(
    ("before", "after", "hunks"),
    [
        ("", "", []),
        ("", "a", ["+a"]),
        ("a", "", ["-a"]),
        ("Be kind now.", "Be brief now.", ["=Be ", "-kind", "+brief", "= now."]),
        ("red cat", "big dog", ["-red cat", "+big dog"]),
        ("a red cat sat", "a big dog sat", ["=a ", "-red cat", "+big dog", "= sat"]),
        ("one\ntwo\nthree\n", "one\nthree\n", ["=one\n", "-two\n", "=three\n"]),
        ("a  b", "a b", ["=a", "-  ", "+ ", "=b"]),
        ("x\n", "x", ["=x", "-\n"]),
        ("x\r\n", "x\n", ["=x", "-\r\n", "+\n"]),
    ],
)
def test_words(before: str, after: str, hunks: list[str]) -> None:
    assert [SYMBOL[hunk.op] + hunk.text for hunk in words(before, after)] == hunks


def test_two_long_texts_count_as_rewritten() -> None:
    before, after = (" ".join(f"{word}{n}" for n in range(3000)) for word in ("a", "b"))

    hunks = words(before, after)

    assert (old_text(hunks), new_text(hunks), len(hunks)) == (before, after, 2)


def changes(before: Prompt, after: Prompt) -> list[tuple[Change, int | None, int | None]]:
    return [
        (message.change, message.before_index, message.after_index)
        for message in diff(before, after).messages
    ]


def test_a_message_that_stands_elsewhere_moved() -> None:
    before = prompt_of(
        ("system", "first rule"), ("user", "a question"), ("assistant", "an answer"), ("user", "the end")
    )
    after = prompt_of(
        ("user", "a question"), ("assistant", "an answer"), ("user", "the end"), ("system", "first rule")
    )

    assert changes(before, after) == [
        (Change.SAME, 1, 0), (Change.SAME, 2, 1), (Change.SAME, 3, 2), (Change.MOVED, 0, 3),
    ]  # fmt: skip
    assert not diff(before, after).empty


def test_added_and_removed_messages_keep_their_places() -> None:
    before = prompt_of(("system", "s"), ("user", "old example"), ("user", "q"))
    after = prompt_of(("system", "s"), ("user", "q"), ("assistant", "new"))

    assert changes(before, after) == [
        (Change.SAME, 0, 0), (Change.REMOVED, 1, None), (Change.SAME, 2, 1), (Change.ADDED, None, 2),
    ]  # fmt: skip


def test_another_role_for_the_same_text_is_one_change() -> None:
    (message,) = diff(prompt_of(("system", "Be kind.")), prompt_of(("developer", "Be kind."))).messages

    assert (message.change, message.before_speaker, message.after_speaker) == (
        Change.CHANGED,
        "system",
        "developer",
    )


def test_what_is_only_about_the_prompt_leaves_it_empty() -> None:
    before = prompt_of(("user", "x"), owner="ann", variables={"x": {"description": "a"}})
    after = prompt_of(("user", "x"), owner="bob", variables={"x": {"description": "b"}})

    found = diff(before, after)

    assert found.empty
    assert found.about == (
        FieldChange("owner", '"ann"', '"bob"'),
        FieldChange("variables.x.description", '"a"', '"b"'),
    )


def test_a_value_that_appears_is_not_null() -> None:
    found = diff(prompt_of(("user", "x")), prompt_of(("user", "x"), parameters={"a": None}))

    assert found.fields == (FieldChange("parameters.a", None, "null"),)
