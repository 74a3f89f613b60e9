"""A judge against people: labels read, agreement counted, kept, shown, and a pass rate corrected."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from promptship.errors import ConfigError, Refused, Unavailable
from promptship.evals.assertions.judged_orders import RUBRICS_VERSION
from promptship.evals.judges.agreement import (
    Counts,
    Pair,
    correlation,
    design_effect,
    kappa,
    kappa_error,
    kappa_measured,
    share,
)
from promptship.evals.judges.calibration import (
    Answered,
    Calibration,
    calibrate,
    from_json,
    measured,
    outdated,
    path_of,
    to_json,
)
from promptship.evals.judges.calibration_report import to_markdown, to_text
from promptship.evals.judges.correction import Assuming, Corrected, corrected_pass_rate
from promptship.evals.judges.labels import Label, read_labels
from promptship.evals.score import Unscored
from promptship.evals.services import Services
from tests.support.services import FakeGraders, FakeScripts

# Labels ---------------------------------------------------------------------------------------------------------------


def test_labels_with_all_columns() -> None:
    content = (
        "\ufeffOutput,Label,Criterion,Case,Input,Judge,judge score,annotator\r\n"
        '"an, answer\nin two lines",yes,polite,c1,Hi,1,0.9,mira\r\n'
        "\r\n"
        "other,0.25,,,,,,\r\n"
    )
    first, second = read_labels(content, "labels.csv")
    assert first == Label(
        line=2, output="an, answer\nin two lines", score=1.0, rubric="polite", case="c1", input="Hi", judge_passed=True,
        judge_score=0.9,
    )  # fmt: skip
    assert (second.line, second.score, second.passed, second.judge_passed) == (5, 0.25, False, None)


@pytest.mark.parametrize(
    ("text", "score"), [("1", 1), ("0", 0), ("TRUE", 1), ("fail", 0), (" no ", 0), ("0.7", 0.7), ("Good", 1)]
)
def test_what_a_label_may_say(text: str, score: float) -> None:
    assert read_labels(f"output,label\nx,{text}\n", "l.csv")[0].score == score


@pytest.mark.parametrize(
    ("content", "line", "key"),
    [
        ("", 0, ""),
        ("\n\n", 0, ""),
        ("output,label\n", 0, ""),
        ("answer,label\nx,1\n", 1, "output"),
        ("output,labels\nx,1\n", 1, "labels"),
        ("output,label,criterion,rubric\nx,1,a,b\n", 1, "rubric"),
        ("output,label\nx,1\ny,4\n", 3, "label"),
        ("output,label\nx,\n", 2, "label"),
        ("output,label\nx,nan\n", 2, "label"),
        ("output,label,judge\nx,1,perhaps\n", 2, "judge"),
        ("output,label\nx\n", 2, ""),
        ('output,label\n"x,1\n', 2, ""),
        ('output,label\n"x" y,1\n', 2, ""),
    ],
)
def test_bad_labels_are_errors_with_line_and_column(content: str, line: int, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_labels(content, "labels.csv")
    problem = caught.value.problems[0]
    assert (problem.file, problem.line, problem.key) == ("labels.csv", line, key)
    assert problem.expected


def test_all_bad_lines_are_said_at_once_but_not_without_end() -> None:
    with pytest.raises(ConfigError) as caught:
        read_labels("output,label\n" + "x,good enough\n" * 80, "labels.csv")
    assert len(caught.value.problems) == 51
    assert caught.value.problems[-1].got == "30 more lines like these"


# Agreement ------------------------------------------------------------------------------------------------------------


def pairs_of(both: int, judge: int, human: int, none: int) -> list[Pair]:
    return (
        [Pair(human=True, judge=True)] * both + [Pair(human=False, judge=True)] * judge
        + [Pair(human=True, judge=False)] * human + [Pair(human=False, judge=False)] * none
    )  # fmt: skip


def test_kappa_of_a_textbook() -> None:
    # Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions: agreement 0.7 with chance 0.5.
    counts = Counts(both_pass=20, only_judge=10, only_human=5, both_fail=15)
    assert kappa(counts) == pytest.approx(0.4)
    assert kappa_error(counts) == pytest.approx(0.128, abs=0.003)
    assert kappa(Counts(both_pass=9, only_judge=0, only_human=0, both_fail=0)) is None
    assert kappa(Counts(both_pass=0, only_judge=5, only_human=5, both_fail=0)) == pytest.approx(-1)


def test_perfect_agreement_still_has_limits() -> None:
    found = kappa_measured(pairs_of(20, 0, 0, 15), 0.05)
    assert found is not None
    assert found.value == found.high == 1.0
    assert 0.8 < found.low < 1.0


def test_labels_of_one_case_count_once() -> None:
    alike = [True] * 10 + [False] * 10
    assert design_effect(alike, [""] * 20) == 1.0
    assert design_effect(alike, ["a"] * 10 + ["b"] * 10) > 5
    assert design_effect([True, False] * 10, [str(n // 2) for n in range(20)]) == 1.0
    assert design_effect([True] * 20, [str(n // 10) for n in range(20)]) == 10.0


def test_labels_that_are_alike_widen_the_limits() -> None:
    agreed = [True] * 30 + [False] * 10
    alone, alike = (share(agreed, cases, 0.05) for cases in ([""] * 40, [str(n // 5) for n in range(40)]))
    assert alone is not None
    assert alike is not None
    assert alone.value == alike.value
    assert alike.high - alike.low > 1.5 * (alone.high - alone.low)
    assert share([], [], 0.05) is None


def test_rank_correlation() -> None:
    scores = [(n / 20, (n / 20) ** 2) for n in range(20)]
    perfect = [Pair(human=True, judge=True, human_score=one, judge_score=other) for one, other in scores]
    found = correlation(perfect, 0.05)
    assert found is not None
    assert found.value == pytest.approx(1.0)
    assert 0.9 < found.low <= found.value <= found.high <= 1.0
    assert correlation(perfect[:9], 0.05) is None
    flat = [Pair(human=True, judge=True, human_score=0.5, judge_score=one) for one, _ in scores]
    assert correlation(flat, 0.05) is None


# Calibrating ----------------------------------------------------------------------------------------------------------


def labels_of(passing: int, failing: int, **more: Any) -> list[Label]:
    good = [Label(line=2, output=f"good {n}", score=1.0, **more) for n in range(passing)]
    return good + [Label(line=3, output=f"bad {n}", score=0.0, **more) for n in range(failing)]


def judge(messages: Sequence[Any]) -> str:
    """Passes what is good, and every third bad answer."""
    material = messages[-1]["content"]
    passed = "good" in material or any(f"bad {n}\n" in material for n in range(0, 60, 3))
    return json.dumps({"pass": passed, "score": 0.9 if passed else 0.2})


def services(says: Any) -> Services:
    return Services(scripts=FakeScripts(), graders=FakeGraders(says=says))


async def test_the_judge_is_asked_about_every_label() -> None:
    found = await calibrate(labels_of(30, 30), services(judge), name="polite", rubric="is polite")
    assert (found.labels, found.cases, found.unscored) == (60, 60, 0)
    assert found.counts == Counts(both_pass=30, only_judge=10, only_human=0, both_fail=20)
    assert found.sensitivity.value == 1.0
    assert found.specificity.value == pytest.approx(2 / 3)
    assert found.accuracy.value == pytest.approx(5 / 6)
    assert found.bias.value == pytest.approx(1 / 6)
    assert found.bias.low > 0
    assert found.kappa is not None
    assert found.kappa.value == pytest.approx(2 / 3)
    assert found.rubrics_version == RUBRICS_VERSION
    assert len(found.rubrics) == 1
    assert found.correlation is None


async def test_verdicts_of_the_file_are_not_asked_for_again() -> None:
    already = [Label(line=2, output="x", score=float(n % 2), judge_passed=n % 3 > 0) for n in range(60)]
    found = await calibrate(already, services(AssertionError("asked")), name="n")
    assert found.labels == 60
    assert found.judge == "verdicts from the file"


async def test_a_label_s_own_rubric_goes_first() -> None:
    seen: list[str] = []

    def note(messages: Sequence[Any]) -> str:
        seen.append(messages[-1]["content"])
        return judge(messages)

    await calibrate(
        labels_of(20, 20, rubric="own", input="the question"), services(note), name="n", rubric="general"
    )
    assert all("\nown\n" in one and "general" not in one and "the question" in one for one in seen)


@pytest.mark.parametrize(("passing", "failing"), [(10, 10), (40, 9), (9, 40), (0, 0), (100, 0)])
async def test_too_few_labels_are_refused_before_anything_is_paid(passing: int, failing: int) -> None:
    with pytest.raises(ConfigError) as caught:
        await calibrate(labels_of(passing, failing), services(AssertionError("asked")), name="n", rubric="r")
    assert "at least 30 labels" in str(caught.value)


async def test_what_ends_a_calibration() -> None:
    with pytest.raises(ConfigError) as caught:
        await calibrate(labels_of(30, 30), services(judge), name="n")
    assert caught.value.problems[0].key == "rubric"
    with pytest.raises(Refused):
        await calibrate(labels_of(30, 30), services(Refused("401")), name="n", rubric="r")
    with pytest.raises(Unavailable) as lost:
        await calibrate(labels_of(30, 30), services(Unavailable("down")), name="n", rubric="r")
    assert "0 of 60" in str(lost.value)


async def test_labels_without_a_verdict_are_in_no_number() -> None:
    says = lambda messages: "no idea" if "good 7" in str(messages[1]["content"]) else judge(messages)  # noqa: E731
    found = await calibrate(labels_of(30, 30), services(says), name="n", rubric="r")
    assert (found.labels, found.unscored, found.counts.total) == (59, 1, 59)


def given(both: int, judge: int, human: int, none: int, **more: Any) -> Calibration:
    answered = [
        Answered(
            label=Label(line=2, output="", score=float(pair.human)),
            passed=pair.judge,
            score=None,
            judge="gpt fp",
        )
        for pair in pairs_of(both, judge, human, none)
    ]
    return measured(answered, name="polite", **more)


def test_a_calibration_is_kept_and_read_again() -> None:
    found = given(30, 5, 5, 20, rubrics=["secret rubric"])
    content = to_json(found)
    assert from_json(content, "x.json") == found
    assert "secret" not in content
    assert json.loads(content)["sensitivity"]["value"] == pytest.approx(30 / 35)
    assert path_of(Path("/repo"), "polite") == Path("/repo/judges/polite.calibration.json")
    for broken in ("", "[]", '{"name": 5}', content.replace('"cases"', '"cases_"')):
        with pytest.raises(ConfigError) as caught:
            from_json(broken, "x.json")
        assert caught.value.problems[0].file == "x.json"


def test_a_calibration_says_nothing_about_another_judge() -> None:
    found = given(30, 5, 5, 20)
    assert outdated(found, "gpt fp") == ""
    assert outdated(found, "") == ""
    assert "gpt-5" in outdated(found, "gpt-5")
    assert "rubrics-0" in outdated(found.model_copy(update={"rubrics_version": "rubrics-0"}), "gpt fp")


# Correcting -----------------------------------------------------------------------------------------------------------


def test_a_perfect_judge_is_hardly_corrected_and_its_verdicts_shorten_the_interval() -> None:
    found = corrected_pass_rate(0.7, 1000, given(42, 0, 0, 18), assuming=Assuming.SAME_ANSWERS)
    assert isinstance(found, Corrected)
    assert found.rate == pytest.approx(0.7)
    assert found.weight == pytest.approx(1000 / 1060)
    assert found.high - found.low < 0.07
    assert found.drift == pytest.approx(0.0, abs=1e-9)


def test_a_judge_that_always_says_pass_is_worth_nothing() -> None:
    always = given(40, 20, 0, 0)
    found = corrected_pass_rate(1.0, 1000, always, assuming=Assuming.SAME_ANSWERS)
    assert isinstance(found, Corrected)
    assert found.weight == 0.0
    assert found.rate == pytest.approx(2 / 3)
    blind = corrected_pass_rate(1.0, 1000, always)
    assert isinstance(blind, Unscored)
    assert "coin" in blind.reason


def test_a_kind_judge_is_corrected_down() -> None:
    kind = given(48, 24, 2, 26)
    for assuming in Assuming:
        found = corrected_pass_rate(0.72, 500, kind, assuming=assuming)
        assert isinstance(found, Corrected)
        assert found.low < 0.5 < found.high
        assert found.high < 0.72
        assert found.judged == 0.72
    elsewhere = corrected_pass_rate(0.95, 500, kind)
    assert isinstance(elsewhere, Corrected)
    assert elsewhere.drift > 3


@pytest.mark.parametrize(("rate", "cases"), [(-0.1, 5), (1.1, 5), (0.5, 0)])
def test_a_rate_is_a_rate(rate: float, cases: int) -> None:
    with pytest.raises(ValueError, match="want a rate"):
        corrected_pass_rate(rate, cases, given(30, 5, 5, 20))


# Showing --------------------------------------------------------------------------------------------------------------


def test_the_report_says_it_in_words() -> None:
    found = given(30, 12, 2, 20)
    corrected = corrected_pass_rate(0.95, 500, found)
    assert isinstance(corrected, Corrected)
    text, markdown = to_text(found, corrected), to_markdown(found, corrected)
    for report in (text, markdown):
        assert "Judge gpt fp against 64 labels (polite)" in report
        assert "it is too kind" in report
        assert "Judged pass rate 95%; corrected" in report
        assert "label some of those" in report
        assert RUBRICS_VERSION in report
    assert markdown.splitlines()[3] == "|---|---|---|"
    assert "without a verdict" not in text
    assert "not defined" in to_text(found.model_copy(update={"kappa": None}))
