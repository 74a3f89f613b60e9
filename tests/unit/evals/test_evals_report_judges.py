"""Judges in reports: a calibration is shown exactly when it is of the same judge and rubrics; wins against stable."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from statistics import variance

import pytest
from jsonschema import Draft202012Validator

from promptship.evals.judges.calibration import Calibration, kept, path_of, to_json
from promptship.evals.judges.correction import Corrected, corrected_pass_rate
from promptship.evals.judges.win_rate import win_rate
from promptship.evals.reports.aggregate import summarise
from promptship.evals.reports.formats import Format
from promptship.evals.reports.judges import corrections_table, judge_sentences, wins_table
from promptship.evals.reports.markdown import report_markdown
from promptship.evals.reports.model import Report
from promptship.evals.reports.schema import report_schema
from promptship.evals.reports.summary import JudgeStats
from promptship.evals.reports.text import report_text
from promptship.evals.reports.write import write_to
from promptship.evals.rows import Row
from promptship.evals.score import Scored
from tests.support.judged_reports import ATTACK, JUDGE, PASS, calibration, judged_report, pairwise, rubric
from tests.support.reports import row_of

OLD_RUBRICS = calibration().model_copy(update={"rubrics_version": "rubrics-0"})


def judged_by(*kept_: Calibration) -> JudgeStats:
    (found,) = summarise(judged_report(kept_)).judges
    return found


@pytest.mark.parametrize(
    ("one", "fits"),
    [
        (calibration(), True),
        (calibration(f"{JUDGE}, gpt-4.1-mini fp_1"), True),
        (calibration("gpt-4.1 fp_2"), False),
        (calibration("gpt-4.1-mini fp_1"), False),
        (OLD_RUBRICS, False),
    ],
)  # fmt: skip
def test_a_calibration_counts_exactly_when_it_is_of_this_judge_and_these_rubrics(
    one: Calibration, fits: bool
) -> None:
    found = judged_by(one)
    report = judged_report([one])
    (sentence,) = judge_sentences(summarise(report))
    assert (found.calibration is not None) == (found.because == "") == fits
    assert all((rate.corrected is not None) == fits for rate in found.rates)
    assert ("agrees with people on 95% of 60 labels" in sentence) == fits
    assert ("is not calibrated: " in sentence) == (not fits)
    assert bool(corrections_table(report, summarise(report))) == fits


def test_why_a_calibration_does_not_fit_is_said() -> None:
    assert (
        "made with gpt-4.1 fp_2; the judge is now gpt-4.1 fp_1"
        in judged_by(calibration("gpt-4.1 fp_2")).because
    )
    assert "it was made with rubrics-0" in judged_by(OLD_RUBRICS).because
    for others in ((), (calibration("other-model"),)):
        assert "nobody has held it against people" in judged_by(*others).because


def test_the_newest_calibration_goes_before_others() -> None:
    old, new = calibration(name="old", at=date(2025, 1, 1)), calibration(name="new", at=date(2026, 1, 1))
    undated = calibration(name="undated", at=None)
    for order in ((old, new, undated), (undated, new, old)):
        found = judged_by(*order).calibration
        assert found is not None
        assert found.name == "new"


def test_the_corrected_rate_is_that_of_the_calibration_over_cases() -> None:
    """Three cases: a judge that passes 1, 1/2 and 0 of their trials; one imagined case that failed widens the limits."""
    trials = {"a": (True, True), "b": (True, False), "c": (False, False)}
    rows = [
        row_of(case, "candidate", Scored(passed, 1.0), trial=trial, asserted=(rubric(passed), rubric(False, type_="g-eval")))
        for case, answers in trials.items() for trial, passed in enumerate(answers)
    ]  # fmt: skip
    report = replace(judged_report([calibration()]), rows=lambda: iter(rows), verdicts=())
    (found,) = summarise(report).judges
    (rate,) = found.rates
    expected = corrected_pass_rate(0.5, 3, calibration(), alpha=0.1, spread=variance([1.0, 0.5, 0.0, 0.0]))
    assert isinstance(expected, Corrected)
    assert (found.judged, rate.cases, rate.value) == (12, 3, 0.5)
    assert (rate.corrected, rate.low, rate.high) == pytest.approx(
        (expected.rate, expected.low, expected.high), rel=0.2
    )
    assert rate.low is not None
    assert rate.high is not None
    assert rate.high - rate.low > 0.5  # three cases prove little


def test_a_judge_that_cannot_tell_good_from_bad_corrects_nothing() -> None:
    report = judged_report([calibration(errors=30)])
    (found,) = summarise(report).judges
    assert all(rate.corrected is None and "hardly better than a coin" in rate.because for rate in found.rates)
    sentences = list(judge_sentences(summarise(report)))
    assert sum("not corrected: the judge tells good answers from bad ones" in said for said in sentences) == 1


def test_labels_that_are_not_like_the_suite_are_a_warning() -> None:
    rows = [row_of(f"c{n}", "candidate", Scored(True, 1.0), asserted=(rubric(True),)) for n in range(400)]
    report = replace(judged_report([calibration()]), rows=lambda: iter(rows), verdicts=())
    assert [said for said in judge_sentences(summarise(report)) if said.startswith("! the answers that")]
    few = replace(report, rows=lambda: iter(rows[:2]))
    assert not [said for said in judge_sentences(summarise(few)) if said.startswith("!")]


def test_nobody_looked_for_calibrations_nothing_is_said_about_judges() -> None:
    report = judged_report(None)
    assert summarise(report).judges == ()
    assert "calibrated" not in report_text(report, summarise(report)).plain


def test_every_format_for_people_says_how_far_a_judge_is_trusted() -> None:
    for one in ((calibration(),), ()):
        report = judged_report(one)
        summary = summarise(report)
        said = "agrees with people on 95% of 60 labels" if one else "is not calibrated"
        assert said in report_text(report, summary).plain
        assert said in report_markdown(report, summary)
        out = io.StringIO()
        write_to(report, Format.HTML, out)
        assert said in out.getvalue()


def test_wins_against_stable_are_those_of_win_rate() -> None:
    scores = (1.0, 0.5, 0.0, 1.0, 1.0, 0.5, 1.0, 0.0, 0.5, 1.0, 1.0, 1.0)
    rows = [row_of(f"c{n}", "candidate", PASS, asserted=(pairwise(score),)) for n, score in enumerate(scores)]
    report = replace(judged_report(), rows=lambda: iter(rows), verdicts=())
    summary = summarise(report)
    (found,) = summary.wins
    expected = win_rate(list(report.rows()), "candidate", label="friendlier", alpha=2 * summary.alpha)
    assert expected is not None
    assert (found.wins, found.ties, found.losses, found.cases) == (7, 3, 2, 12)
    assert (found.rate, found.low, found.high) == (expected.rate, expected.low, expected.high)
    assert 0 < found.low < found.rate < found.high < 1
    (_, row) = wins_table(report, summary)
    assert (row[:2], row[3:]) == (("friendlier", "70.8%"), ("7", "3", "2", "12"))


def test_without_stable_nobody_wins() -> None:
    def rows(arm: str) -> list[Row]:
        return [row_of("refund", arm, Scored(True, 1.0), asserted=(pairwise(1.0),))]

    report = judged_report()
    alone = replace(report, arms=report.arms[:1], rows=lambda: iter(rows("candidate")), verdicts=())
    assert summarise(alone).wins == ()
    stable_too = replace(report, rows=lambda: iter([*rows("candidate"), *rows("stable")]))
    assert [one.arm for one in summarise(stable_too).wins] == ["candidate"]


def test_kept_calibrations_are_read_and_damaged_ones_named(tmp_path: Path) -> None:
    assert kept(tmp_path) == ((), ())
    for name in ("b", "a"):
        path = path_of(tmp_path, name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(to_json(calibration(name=name)))
    old = json.loads(to_json(calibration(name="c")))
    del old["at"]
    path_of(tmp_path, "c").write_text(json.dumps(old))
    path_of(tmp_path, "d").write_text("{")
    path_of(tmp_path, "e").write_bytes(b"\xff")
    (tmp_path / "judges" / "notes.txt").write_text("x")
    found, problems = kept(tmp_path)
    assert [(one.name, one.at) for one in found] == [
        ("a", date(2026, 2, 1)),
        ("b", date(2026, 2, 1)),
        ("c", None),
    ]
    assert [Path(problem.file).name for problem in problems] == ["d.calibration.json", "e.calibration.json"]


def test_json_holds_what_is_known_of_judges_and_attacks() -> None:
    out = io.StringIO()
    report: Report = judged_report([calibration()])
    write_to(report, Format.JSON, out)
    document = json.loads(out.getvalue())
    Draft202012Validator(report_schema()).validate(document)
    assert document["conclusion"] == {"word": "REJECTED", "exit_code": 1}
    summary = document["summary"]
    assert {case["case"]: case["attack"] for case in summary["cases"]}["injection-1-base64"] == ATTACK
    assert summary["judges"][0]["calibration"]["at"] == "2026-02-01"
    assert {rate["arm"] for rate in summary["judges"][0]["rates"]} == {"candidate", "stable"}
    assert summary["wins"][0]["wins"] == 3
