"""Decisions about models, in both directions."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.prompts.change_model import NotEditable, with_model
from promptship.prompts.load import load
from promptship.prompts.model_names import understood
from promptship.release.model_changes import (
    ChangeKind,
    ModelChange,
    appeared,
    earliest,
    lead_due,
    moved,
    successor,
)
from promptship.release.retest import Result, Standing, fold, worth_proposing

NAMES = st.builds(
    lambda line, major, minor, size, tail: f"{line}-{major}{minor}{size}{tail}",
    st.sampled_from(["gpt", "claude-sonnet", "gemini"]), st.integers(1, 12), st.sampled_from(["", ".1", ".5", "-5"]),
    st.sampled_from(["", "-mini", "-70b"]), st.sampled_from(["", "-2026-01-01", "-20260301", "-preview", "-latest"]),
)  # fmt: skip


@given(st.integers(-5, 400), st.sets(st.integers(0, 365)), st.sets(st.integers(0, 365)))
def test_a_lead_time_is_due_exactly_when_it_has_come_and_neither_it_nor_a_shorter_one_was_told(
    days: int, leads: set[int], told: set[int]
) -> None:
    come = {lead for lead in leads | {0} if days <= lead}
    due = lead_due(days, leads, told)
    if due is None:
        assert not come or any(one <= min(come) for one in told)
    else:
        assert due == min(come)
        assert all(one > due for one in told)


@given(st.lists(st.integers(0, 365), max_size=6))
def test_every_lead_time_is_told_once_on_its_day_when_somebody_looks_daily(leads: list[int]) -> None:
    told: list[int] = []
    days = []
    for left in range(400, -3, -1):
        if (due := lead_due(left, leads, told)) is not None:
            told.append(due)
            days.append(left)
    assert days == sorted({*leads, 0}, reverse=True)


@given(NAMES, st.sets(NAMES, max_size=8))
def test_the_successor_succeeds_and_nothing_final_succeeds_it(used: str, among: set[str]) -> None:
    found = successor(used, among)
    later = {name for name in among if understood(name).succeeds(understood(used))}
    assert (found is None) == (not later)
    if found is not None:
        assert found in later
        mine = understood(found)
        assert not any(
            understood(name).version > mine.version and not understood(name).preview for name in later
        )
        assert successor(used, among, ignored={understood(used).family}) is None


@given(NAMES, NAMES)
def test_of_two_models_one_at_most_succeeds_the_other(one: str, other: str) -> None:
    first, second = understood(one), understood(other)
    assert not (first.succeeds(second) and second.succeeds(first))
    assert not first.succeeds(first)
    if first.succeeds(second):
        assert first.family == second.family


@given(st.text(min_size=1, max_size=40))
@settings(max_examples=50)
def test_any_name_can_be_understood(name: str) -> None:
    assert understood(name).family


def test_only_new_models_appear() -> None:
    assert appeared(["gpt-5", "o3"], {"gpt-6", "gpt-4"}) == {"gpt-5": "gpt-6"}
    assert appeared(["gpt-5"], {"gpt-6"}, ignored={"gpt"}) == {}


@given(st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=5), st.sampled_from(["", "a", "b", "z"]))
def test_it_has_moved_exactly_when_somebody_new_answers_after_somebody_else(
    before: list[str], now: str
) -> None:
    known = [name for name in before if name]
    assert (moved(before, now) is not None) == (bool(known) and bool(now) and now not in known)


@given(st.sampled_from(ChangeKind), st.sampled_from(Standing), st.floats(0.1, 3), st.floats(0.1, 3))
def test_what_is_proposed(kind: ChangeKind, standing: Standing, before: float, after: float) -> None:
    change = ModelChange(kind=kind, provider="p", model="a", to="b")
    result = Result(
        prompt="x", version="v", standing=standing, because="", cost_current=before, cost_new=after
    )
    same = standing is Standing.SAME and kind is not ChangeKind.MOVED
    dearer = after / before - 1 > 0 and kind is ChangeKind.APPEARED
    assert (worth_proposing(change, result) == "") == (standing is Standing.BETTER or (same and not dearer))
    assert Result.of(result.data()) == result
    assert ModelChange.of(change.data()) == change


def test_what_nobody_asked_for_is_no_re_test() -> None:
    assert fold([]) is None
    assert earliest(None, date(2026, 2, 1), date(2026, 1, 1)) == date(2026, 1, 1)
    assert earliest(None) is None


FORMS = {
    "p.yaml": "name: p\n# which model: {model}\nmodel: {quote}{model}{quote}  # chosen in May\nmessages:\n  - role: user\n    content: hi {model}\n",
    "p.md": "---\nname: p\nmodel: {quote}{model}{quote}\n---\nTalk about {model}.\n",
    "p.prompt": "---\nmodel: {quote}{model}{quote}\nconfig:\n  temperature: 0\n---\nhi\n",
    "p.prompty": "---\nname: p\nmodel:\n  api: chat\n  configuration:\n    type: openai\n    name: {quote}{model}{quote}\n---\nsystem:\nhi\n",
    "p.yml": "messages: [{{role: user, content: hi}}]\nmodel: {quote}{model}{quote}\n",
}


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("quote", ["", '"', "'"])
@pytest.mark.parametrize("path", FORMS)
def test_one_word_of_one_line_changes(path: str, quote: str, ends: str) -> None:
    content = FORMS[path].format(model="sim-1", quote=quote).replace("\n", ends).encode()
    edited = with_model(path, content, "vendor/sim-2:free")
    assert not isinstance(edited, NotEditable)
    before, after = content.split(ends.encode()), edited.split(ends.encode())
    changed = [number for number, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]
    assert len(changed) == 1
    assert after[changed[0]] == before[changed[0]].replace(b"sim-1", b"vendor/sim-2:free")
    wanted = load(path, content).prompt.model_copy(update={"model": "vendor/sim-2:free"})
    assert load(path, edited).prompt == wanted


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20))
@settings(max_examples=30)
def test_what_comes_out_reads_as_the_same_prompt_or_nothing_comes_out(model: str) -> None:
    content = b"# sim-1\nname: p\nmodel: sim-1\nmessages: [{role: user, content: hi sim-1}]\n"
    edited = with_model("p.yaml", content, model)
    if isinstance(edited, NotEditable):
        assert "p.yaml" in edited.reason
    else:
        assert load("p.yaml", edited).prompt == load("p.yaml", content).prompt.model_copy(
            update={"model": model}
        )


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        ("p.yaml", b"messages: [{role: user, content: hi}]\n", "names no model"),
        ("p.yaml", b"model: sim-2\nmessages: [{role: user, content: hi}]\n", "already"),
        ("p.yaml", b"model: [\n", "cannot be read"),
        ("p.yaml", b'model: "sim\\u002d1"\nmessages: [{role: user, content: hi}]\n', "changed by a word"),
        ("p.yaml", b"x: 1\n", "cannot be read"),
    ],
)
def test_what_cannot_be_changed_by_a_word_is_said(path: str, content: bytes, reason: str) -> None:
    edited = with_model(path, content, "sim-2")
    assert isinstance(edited, NotEditable)
    assert reason in edited.reason
