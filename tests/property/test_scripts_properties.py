"""Properties of scripts: frames, results, texts that go to a script and come back."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from promptship.evals.assertions.script_result import Reading, native
from promptship.evals.score import Scored, Unscored
from promptship.evals.scripts import frames
from promptship.evals.scripts.javascript_modules import as_function
from promptship.evals.scripts.pool import decoded, encoded
from promptship.evals.services import Language

numbers = st.floats(allow_nan=True, allow_infinity=True) | st.integers()
thresholds = st.none() | st.floats(-2, 2)
plain = st.none() | st.booleans() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
results: st.SearchStrategy[Any] = (
    numbers
    | plain
    | st.fixed_dictionaries(
        {},
        optional={
            "pass": st.booleans() | plain,
            "score": numbers | plain,
            "reason": st.text(max_size=5) | st.none(),
            "namedScores": st.dictionaries(st.text(max_size=3), numbers | plain, max_size=3) | plain,
            "componentResults": st.lists(st.dictionaries(st.sampled_from(["pass", "score"]), numbers | plain))
            | plain,
        },
    )
)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@given(numbers, thresholds)
def test_a_number_passes_exactly_when_it_is_finite_and_above_its_limit(
    number: float, threshold: float | None
) -> None:
    try:
        finite = math.isfinite(number)
    except OverflowError:
        finite = False
    good = finite and (number > 0 if threshold is None else number >= threshold)
    for score in (
        native(number, threshold).score,
        Reading(language=Language.JAVASCRIPT, threshold=threshold).judged(number).score,
    ):
        assert isinstance(score, Scored) is finite
        assert (isinstance(score, Scored) and score.passed) is good


@given(results, thresholds)
def test_native_scores_lie_between_0_and_1_and_a_failure_has_a_reason(
    result: Any, threshold: float | None
) -> None:
    judged = native(result, threshold)
    assert isinstance(judged.score, Scored | Unscored)
    if isinstance(judged.score, Scored):
        assert 0 <= judged.score.score <= 1
        assert judged.score.passed or judged.score.reason
    assert all(math.isfinite(value) for value in judged.named.values())


@given(results, thresholds, st.sampled_from(Language))
def test_not_turns_the_verdict_exactly_when_promptfoo_could_read_the_result(
    result: Any, threshold: float | None, language: Language
) -> None:
    plain_score = Reading(language=language, threshold=threshold).judged(result).score
    opposite = Reading(language=language, threshold=threshold, opposite=True).judged(result).score
    assert type(plain_score) is type(opposite)
    if isinstance(plain_score, Scored) and isinstance(opposite, Scored):
        readable = "; wanted bool" not in plain_score.reason
        assert (opposite.passed is not plain_score.passed) is readable
        assert math.isfinite(plain_score.score)


@given(values)
def test_every_value_comes_back_as_it_was_sent(value: Any) -> None:
    assert decoded(encoded(value)) == value


@given(
    st.lists(
        st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=50), st.binary(max_size=50)), max_size=5
    ),
    st.integers(1, 40),
)
def test_frames_arrive_whole_however_they_are_cut(sent: list[tuple[int, bytes, bytes]], size: int) -> None:
    stream = b"".join(frames.request(*one) for one in sent)
    buffer = bytearray()
    got: list[tuple[int, bytes, bytes]] = []
    for start in range(0, len(stream), size):
        buffer += stream[start : start + size]
        got.extend(frames.requests(buffer))
    assert got == sent
    assert not buffer
    answers = [(number, number % 3, body) for number, _, body in sent]
    buffer = bytearray(b"".join(frames.answer(*one) for one in answers))
    assert list(frames.answers(buffer)) == answers


@given(st.text(alphabet="abimportexd '\"`/\\${}()[];,.*\n=:", max_size=60))
def test_reading_a_module_never_fails_and_keeps_what_is_no_module(source: str) -> None:
    text, is_module = as_function(source)
    if not is_module and "import" not in source:
        assert text == source
