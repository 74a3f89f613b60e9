"""Reports as JUnit XML, which every CI system shows: one suite per arm, one test case per trial."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import UTC
from html import escape
from typing import Final

from promptship.evals.reports.attacks import attack_of, is_attack
from promptship.evals.reports.ordered import Ordered
from promptship.evals.reports.reasons import about
from promptship.evals.reports.summary import Counted, Summary
from promptship.evals.reports.tables import arm_names
from promptship.evals.rows import CaseFacts, Row
from promptship.evals.score import Scored, Unscored

_ILLEGAL: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, in any form (section 2.2)."""
_NUMBERED: Final = re.compile(r"(case-)?\d+")
"""Ids that say nothing: what such a case is known by are its variables."""
NAME_MAX: Final = 120
"""Characters of what is known of a case besides its id."""
ANSWER_MAX: Final = 20_000
"""Characters of an answer; CI systems keep less."""


def junit_chunks(ordered: Ordered) -> Iterator[str]:
    """The document. A trial that failed is a failure; one without an answer an error; one that nobody could score is skipped."""
    report, summary = ordered.report, ordered.summary
    names, several = arm_names(report, summary), _has_several_trials(summary)
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    took = {} if report.duration_s is None else {"time": _seconds(report.duration_s)}
    yield _open("testsuites", {"name": report.title, **_counts(summary.totals), **took})
    for stats in summary.arms:
        attributes = {"name": names[stats.arm], **_counts(stats.counted)}
        if report.at is not None:
            attributes["timestamp"] = f"{report.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
        yield "  " + _open("testsuite", attributes)
        # Readers take what is before the last dot for a package.
        classname = f"{report.title.replace('.', '_')}.{names[stats.arm].replace('.', '_')}"
        for row in ordered.rows_of(stats.arm):
            yield from _case(row, ordered.cases[row.case], classname, numbered=several)
        yield "  </testsuite>\n"
    yield "</testsuites>\n"


def _case(row: Row, case: CaseFacts, classname: str, *, numbered: bool) -> Iterator[str]:
    # Not the attack itself: an attacker model invents another one next time, and names should stay.
    known = bool(case.description) or is_attack(case) or _NUMBERED.fullmatch(case.id) is not None
    said = about(case, NAME_MAX) if known else ""
    name = f"{row.case}: {said}" if said else row.case
    attributes = {"classname": classname, "name": name + (f" [trial {row.trial + 1}]" if numbered else "")}
    if row.latency_ms is not None and math.isfinite(row.latency_ms):
        attributes["time"] = _seconds(row.latency_ms / 1000)
    yield "    " + _open("testcase", attributes)
    yield from _outcome(row, f"attack: {attack_of(row)}" if is_attack(case) else "")
    if row.answers:
        answer = "\n\n".join(row.answers)
        cut = f"\n... {len(answer) - ANSWER_MAX:,} more characters" if len(answer) > ANSWER_MAX else ""
        yield f"      <system-out>{_text(answer[:ANSWER_MAX] + cut)}</system-out>\n"
    yield "    </testcase>\n"


def _outcome(row: Row, attack: str) -> Iterator[str]:
    score = row.score
    if isinstance(score, Unscored):
        if row.error:
            yield f"      <error {_attributes({'message': row.error, 'type': score.reason})}>{_text(score.detail)}</error>\n"
        else:
            because = f"{score.reason}: {score.detail}" if score.detail else score.reason
            yield f"      <skipped {_attributes({'message': because})}/>\n"
    elif not score.passed:
        lost = [one for one in row.asserted if not (isinstance(one.score, Scored) and one.score.passed)]
        said = [f"{one.label}: {_reason(one.score)}" for one in lost] + ([attack] if attack else [])
        message = score.reason or ", ".join(one.label for one in lost) or "failed"
        attributes = {"message": message, "type": lost[0].label if lost else "score"}
        yield f"      <failure {_attributes(attributes)}>{_text(chr(10).join(said))}</failure>\n"


def _reason(score: Scored | Unscored) -> str:
    return score.reason if isinstance(score, Scored) else f"no score: {score.reason}"


def _counts(counted: Counted) -> dict[str, str]:
    return {
        "tests": str(counted.rows),
        "failures": str(counted.failed),
        "errors": str(counted.errors),
        "skipped": str(counted.unscored - counted.errors),
    }


def _has_several_trials(summary: Summary) -> bool:
    return any(
        one.tally.trials + one.tally.unscored > 1 for case in summary.cases for one in case.arms.values()
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"


def _open(tag: str, attributes: dict[str, str]) -> str:
    return f"<{tag} {_attributes(attributes)}>\n"


def _attributes(values: dict[str, str]) -> str:
    """Line breaks as references: a parser would make blanks of them."""
    pairs = ((name, _text(value)) for name, value in values.items())
    return " ".join(f'{name}="{_broken(value)}"' for name, value in pairs)


def _broken(value: str) -> str:
    return value.replace("\t", "&#9;").replace("\n", "&#10;").replace("\r", "&#13;")


def _text(value: str) -> str:
    return escape(_ILLEGAL.sub("", value), quote=True).replace("\r", "&#13;")
