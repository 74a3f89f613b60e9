"""Reports as GitHub-flavoured Markdown, for a pull request and for Prefect's artifacts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from promptship.evals.outcome import because_of, word_of
from promptship.evals.promptfoo.model import Note
from promptship.evals.reports.judges import corrections_table, judge_sentences, wins_table
from promptship.evals.reports.model import Report
from promptship.evals.reports.news import NONE, Item, items, news
from promptship.evals.reports.summary import ArmStats, Summary
from promptship.evals.reports.tables import (
    Table,
    arms_table,
    assertions_table,
    grid_of,
    heads,
    interval_name,
    letters_of,
    metrics_table,
    rate_cell,
    slices_table,
)
from promptship.evals.reports.totals import totals_sentences
from promptship.evals.reports.verdicts import (
    ROWS_MAX,
    changes_table,
    footnotes,
    headlines,
    numbers_table,
)
from promptship.evals.rows import Arm
from promptship.evals.verdict import SuiteVerdict
from promptship.numbers import count, milliseconds, moment, money, plural
from promptship.render.table import clipped

LENGTH_MAX: Final = 65_000
"""In characters. GitHub takes comments of 65,536."""
TABLE_ROWS_MAX: Final = 1_000
_SPECIAL: Final = re.compile(r"[\\`*_{}\[\]<>#|~$]")
_CALLS: Final = re.compile(r"@|#(?=\d)")
"""What tells somebody, or links another issue to this one; an invisible space after it breaks the spell."""
_CELL_MAX: Final = 200
_ABOUT_MAX: Final = 140
_REASONS_MAX: Final = 2
"""Of one case; arms of a matrix often fail alike."""
_SENTENCE_MAX: Final = 1_500
_LEFT_OUT: Final = "More is left out here: a comment has no room for it; the JSON and HTML reports have all."


def to_markdown(verdict: SuiteVerdict, *, rows_max: int = ROWS_MAX) -> str:
    """A verdict alone; ends with a newline."""
    said = f"**{word_of(verdict).capitalize()}**: suite {code(verdict.suite)}: {escaped(because_of(verdict), _SENTENCE_MAX)}"
    lines = [said, ""]
    lines += [f"> {escaped(warning)}  " for warning in verdict.warnings] + ([""] if verdict.warnings else [])
    lines += _table(numbers_table(verdict))
    if changes := changes_table(verdict, rows_max):
        lines += ["", *_table(changes)]
    lines += ["", *(f"{escaped(note)}  " for note in footnotes(verdict, rows_max))]
    return "\n".join(lines) + "\n"


def report_markdown(report: Report, summary: Summary, *, length_max: int = LENGTH_MAX) -> str:
    """A whole run in at most `length_max` characters: the verdict, the arms, one table of changed cases, what it cost.

    What does not fit is left out from the end, and the text says so.
    """
    head = "\n".join([*_head(report, summary), "", *_matrix(report, summary), ""])
    sentences = [*totals_sentences(report, summary), *judge_sentences(summary)]
    foot = "\n".join(["", *(f"{escaped(said)}  " for said in sentences), ""])
    room = length_max - len(head) - len(foot) - len(_LEFT_OUT) - 4
    parts, left_out = [head], False
    for section in _sections(report, summary):
        lines, whole = _fitting(section, room)
        room -= sum(len(line) + 1 for line in lines)
        left_out = left_out or not whole
        parts += lines
    text = "\n".join([*parts, foot]).rstrip("\n")
    if left_out or room < 0:
        text = f"{text[: length_max - len(_LEFT_OUT) - 3].rstrip()}\n\n{_LEFT_OUT}"
    return text + "\n"


def escaped(text: str, length_max: int = 400) -> str:
    """Somebody's text on one line: it becomes no table, link, picture, HTML, formula, and calls nobody by @name."""
    line = _SPECIAL.sub(r"\\\g<0>", clipped(text, length_max).replace("&", "&amp;"))
    return _CALLS.sub("\\g<0>\u200b", line).replace("://", "\\://")


def code(text: str, length_max: int = _CELL_MAX) -> str:
    """A name as code, where Markdown can write it so; it stays as it is, down to its last underscore."""
    line = clipped(text, length_max)
    return f"`{line}`" if line and not set(line) & set("\\|`") else escaped(line, length_max)


# A section is its opening lines, its rows, which may be cut, and its closing lines.
_Section = tuple[list[str], list[str], list[str]]


def _sections(report: Report, summary: Summary) -> Iterator[_Section]:
    found = news(summary, {case.id: case for case in report.cases})
    title = "Changed cases" if report.baseline else "Cases to look at"
    if found:
        names = heads(report, summary)
        shown = items(report, found[:TABLE_ROWS_MAX], names)
        head = _row(map(escaped, ("case", "change" if report.baseline else "result", *names.values(), "why")))
        hidden = len(found) - TABLE_ROWS_MAX
        more = [f"... and {count(hidden)} more", ""] if hidden > 0 else []
        title = f"#### {title}: {count(len(found))} of {count(len(summary.cases))}"
        yield [title, "", head, "|" + "---|" * (len(names) + 3)], list(map(_item, shown)), more
    else:
        nothing = "changed" if report.baseline else "needs a look"
        yield [f"No case of {count(len(summary.cases))} {nothing}."], [], []
    for name, table in (
        ("Against stable", wins_table(report, summary)),
        ("Judges", corrections_table(report, summary)),
    ):
        if table:
            rows = _table(table)
            yield ["", f"#### {name}", "", *rows[:2]], rows[2:], []
    for name, table in (
        ("Slices", slices_table(report, summary)),
        ("Failing assertions", assertions_table(report, summary, TABLE_ROWS_MAX)),
        ("Metrics", metrics_table(report, summary)),
    ):
        if table:
            rows = _table(table, names=1)
            yield _folded(name, rows[:2]), rows[2:], ["", "</details>"]
    if report.notes:
        yield _folded(f"Compatibility: {plural(len(report.notes), 'note')}", []), [*map(_note, report.notes)], ["", "</details>"]  # fmt: skip


def _item(item: Item) -> str:
    """A case as a row: below its id what it is about, last why it does not pass."""
    about = (escaped(said, _ABOUT_MAX) for said in (item.about, item.attack) if said)
    why = [escaped(reason, _CELL_MAX) for reason in item.reasons[:_REASONS_MAX]]
    if len(item.reasons) > _REASONS_MAX:
        why.append(f"... and {count(len(item.reasons) - _REASONS_MAX)} more")
    return _row(
        [
            "<br>".join([code(item.case), *about]),
            escaped(item.said),
            *map(escaped, item.tallies),
            "<br>".join(why),
        ]
    )


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _folded(name: str, lines: Sequence[str]) -> list[str]:
    return ["", f"<details><summary>{name}</summary>", "", *lines]


def _fitting(section: _Section, room: int) -> tuple[list[str], bool]:
    """As much of a section as fits, and whether that is all of it; nothing rather than a table without rows."""
    before, rows, after = section
    room -= sum(len(line) + 1 for line in [*before, *after])
    kept: list[str] = []
    for row in rows:
        room -= len(row) + 1
        if room < 0:
            break
        kept.append(row)
    if room < 0 and not kept:
        return [], False
    return [*before, *kept, *after], len(kept) == len(rows)


def _head(report: Report, summary: Summary) -> Iterator[str]:
    about = [f"### {escaped(report.title, _CELL_MAX)}"]
    run = [code(report.id)] if report.id else []
    run += [moment(report.at)] if report.at else []
    yield from about
    yield ""
    for headline in headlines(report, summary):
        about_suite = f"suite {code(headline.about)}: " if headline.about else ""
        yield f"**{headline.word.capitalize()}**: {about_suite}{escaped(headline.because, _SENTENCE_MAX)}  "
        if headline.difference:
            yield escaped(headline.difference)
        yield ""
        if headline.warnings:
            yield from (f"> {escaped(warning)}  " for warning in headline.warnings)
            yield ""
    if run:
        yield f"<sub>run {' · '.join(run)}</sub>"


def _matrix(report: Report, summary: Summary) -> list[str]:
    grid = grid_of(summary)
    if grid is None:
        return _table(arms_table(report, summary))
    letters = letters_of(report, summary)
    lines = [
        _row(["", *map(code, grid.models)]),
        "|" + "---|" * (len(grid.models) + 1),
    ]
    for prompt, cells in zip(grid.prompts, grid.cells, strict=True):
        lines.append(_row([code(prompt), *(_cell(cell, letters) for cell in cells)]))
    return [*lines, "", f"<sub>pass rate ({interval_name(summary)} over cases), cost per 1,000, median latency</sub>"]  # fmt: skip


def _cell(arm: ArmStats | None, letters: Mapping[Arm, str]) -> str:
    if arm is None:
        return NONE
    lines = (
        letters[arm.arm] + rate_cell(arm.rate),
        money(arm.counted.cost_usd_per_1000),
        milliseconds(arm.latency_ms_median),
    )
    return "<br>".join(escaped(line) for line in lines)


def _note(note: Note) -> str:
    advice = f" ({escaped(note.advice)})" if note.advice else ""
    return f"- {note.effect.value}: {code(note.where)}: {escaped(note.what)}{advice}"


def _table(rows: Table, *, names: int = 0) -> list[str]:
    """A table; the first `names` columns below the header are names, shown as code."""
    head, *body = rows
    lines = [_row(escaped(cell, _CELL_MAX) for cell in head), "|" + "---|" * len(head)]
    lines += [
        _row([*map(code, row[:names]), *(escaped(cell, _CELL_MAX) for cell in row[names:])]) for row in body
    ]
    return lines
