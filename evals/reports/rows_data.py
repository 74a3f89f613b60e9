"""The rows of a run as compact JSON for the HTML page: blocks of cases, each with a table of its texts, and an index.

A block is `{"s": texts, "c": cases}`; numbers in its cases are places in `s`. A case is `{"v": [[name, value]], "r": trials per
arm}`, of a red team also `"k"`: what attacks; a trial `{"m": mark, "n": number, "f": facts, "a": answers, "r": reason, "e": error, "p": what was asked, "v": variables,
"t": asserted, "k": attack}`, without what it has not; an assertion `[label, mark, score, reason, judge's words, parts]`. Marks: `+` passed,
`-` failed, `?` no score, `!` no answer. Numbers are texts already: the page formats nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from promptship.evals.reports.attacks import attack_of, attacked_by, is_attack
from promptship.evals.reports.news import news
from promptship.evals.reports.ordered import Ordered, json_text
from promptship.evals.reports.reasons import about
from promptship.evals.reports.tables import arm_names, letters_of
from promptship.evals.row_log import sound
from promptship.evals.rows import Asserted, CaseFacts, Row
from promptship.evals.score import Score, Unscored
from promptship.evals.suite_file import Severity
from promptship.numbers import count, decimal, milliseconds, money, plural

BLOCK_CASES_MAX: Final = 50
BLOCK_CHARS_MAX: Final = 500_000
"""A block beyond it takes no further case: the browser reads blocks whole."""
ANSWER_MAX: Final = 20_000
ASKED_MAX: Final = 10_000
TEXT_MAX: Final = 4_000


class Blocks:
    """Iterate over it once for the blocks; then ask for the index."""

    def __init__(self, ordered: Ordered) -> None:
        self._ordered = ordered
        self._arms = list(ordered.arms)
        self._tags: dict[str, int] = {}
        self._listed: list[list[Any]] = []
        self._starts: list[int] = []
        self._standings = {case.case: case.standing.value for case in ordered.summary.cases}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        block = _Block()
        for case, rows in self._ordered.cases_with_rows():
            by_arm = [[row for row in rows if row.arm == arm] for arm in self._arms]
            if not block.cases:
                self._starts.append(len(self._listed))
            block.add(case, by_arm)
            self._list(case, by_arm)
            if len(block.cases) == BLOCK_CASES_MAX or block.chars >= BLOCK_CHARS_MAX:
                yield block.data()
                block = _Block()
        if block.cases:
            yield block.data()

    def _list(self, case: CaseFacts, by_arm: Sequence[Sequence[Row]]) -> None:
        tags = [self._tags.setdefault(tag, len(self._tags)) for tag in dict.fromkeys(case.tags)]
        marks = ["".join(map(_row_mark, rows)) for rows in by_arm]
        blocking = int(case.severity is Severity.BLOCKING)
        said = _cut(case.description, TEXT_MAX) if case.description else about(case)
        standing = self._standings.get(case.id, "unscored")
        self._listed.append([sound(case.id), said, tags, blocking, standing, marks, case.passes_min])

    def index(self) -> dict[str, Any]:
        """Who was asked, every case in one line, and in which order cases are shown: those to look at first."""
        report, summary = self._ordered.report, self._ordered.summary
        names, letters = arm_names(report, summary), letters_of(report, summary)
        places = {case.case: place for place, case in enumerate(summary.cases)}
        first = [places[case.case] for case in news(summary, self._ordered.cases)]
        known = set(first)
        return {
            "starts": self._starts,
            "base": None if report.baseline is None else self._arms.index(report.baseline),
            "arms": [{"name": sound(letters[arm] + names[arm])} for arm in self._arms],
            "tags": list(map(sound, self._tags)),
            "order": first + [place for place in range(len(self._listed)) if place not in known],
            "cases": self._listed,
        }


class _Block:
    def __init__(self) -> None:
        self.cases: list[dict[str, Any]] = []
        self.chars = 0
        self._texts: dict[str, int] = {}

    def data(self) -> dict[str, Any]:
        return {"s": list(self._texts), "c": self.cases}

    def add(self, case: CaseFacts, by_arm: Sequence[Sequence[Row]]) -> None:
        trials = [[self._trial(row) for row in rows] for rows in by_arm]
        shown: dict[str, Any] = {"v": self._variables(case.vars), "r": trials}
        if is_attack(case):
            shown["k"] = self._text(attacked_by(case))
            for row, trial in zip(chain(*by_arm), chain(*trials), strict=True):
                if attack := attack_of(row):
                    trial["k"] = self._text(attack, ASKED_MAX)
        self.cases.append(shown)

    def _text(self, text: str, length_max: int = TEXT_MAX) -> int:
        text = _cut(text, length_max)
        if text not in self._texts:
            self._texts[text] = len(self._texts)
            self.chars += len(text)
        return self._texts[text]

    def _variables(self, values: Mapping[str, Any]) -> list[list[int]]:
        return [
            [self._text(str(name)), self._text(value if isinstance(value, str) else json_text(value))]
            for name, value in values.items()
        ]

    def _trial(self, row: Row) -> dict[str, Any]:
        trial: dict[str, Any] = {"m": _row_mark(row), "n": row.trial, "f": self._text(_row_facts(row))}
        if row.answers:
            trial["a"] = [self._text(answer, ANSWER_MAX) for answer in row.answers]
        if reason := _reason(row.score):
            trial["r"] = self._text(reason)
        if row.error:
            trial["e"] = self._text(row.error)
        if row.sent:
            trial["p"] = self._text(row.sent, ASKED_MAX)
        if row.vars is not None:
            trial["v"] = self._variables(row.vars)
        if row.asserted:
            trial["t"] = [self._asserted(one) for one in row.asserted]
        return trial

    def _asserted(self, one: Asserted) -> list[Any]:
        reason = _reason(one.score)
        return [
            self._text(one.label),
            _mark(one.score),
            self._text(_asserted_facts(one)),
            self._text(reason) if reason else None,
            self._text(one.said) if one.said else None,
            [self._asserted(part) for part in one.parts],
        ]


def _row_mark(row: Row) -> str:
    return "!" if row.error and isinstance(row.score, Unscored) else _mark(row.score)


def _mark(score: Score) -> str:
    if isinstance(score, Unscored):
        return "?"
    return "+" if score.passed else "-"


def _reason(score: Score) -> str:
    if isinstance(score, Unscored):
        return f"{score.reason}: {score.detail}" if score.detail else score.reason
    return score.reason


def _row_facts(row: Row) -> str:
    """What a trial took; what was not measured is left out."""
    facts = [] if row.latency_ms is None else [milliseconds(row.latency_ms)]
    if row.tokens_in is not None or row.tokens_out is not None:
        facts.append(f"{count(row.tokens_in)} + {count(row.tokens_out)} tokens")
    facts += [] if row.cost_usd is None else [money(row.cost_usd)]
    facts += ["from the cache"] if row.cached else []
    facts += [f"stopped: {row.finish_reason}"] if row.finish_reason not in {"", "stop"} else []
    return " · ".join(facts)


def _asserted_facts(one: Asserted) -> str:
    facts = [] if isinstance(one.score, Unscored) or one.score.score in {0.0, 1.0} else [f"score {decimal(one.score.score)}"]  # fmt: skip
    facts += [f"metric {one.metric}"] if one.metric else []
    facts += [f"weight {decimal(one.weight)}"] if one.weight != 1.0 else []
    facts += [f"turn {one.turn + 1}"] if one.turn else []
    facts += [f"by {one.judge}"] if one.judge else []
    facts += [f"judge {plural(one.judge_tokens, 'token')}"] if one.judge_tokens else []
    return " · ".join(facts)


def _cut(text: str, length_max: int) -> str:
    text = sound(text)
    if len(text) <= length_max:
        return text
    return f"{text[:length_max]}\n… {count(len(text) - length_max)} more characters: the JSON report has all"
