"""Reports for a terminal. The characters are complete without colour; colour is laid over them where they are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

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
    without,
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
from promptship.numbers import count, milliseconds, moment, money
from promptship.render.colour import TONES
from promptship.render.table import aligned, one_line

WIDTH: Final = 110
ASSERTIONS_MAX: Final = 10
SLICES_MAX: Final = 20
_COLUMN_MIN: Final = 10
_REASONS_MAX: Final = 2
"""Of one case; arms of a matrix often fail alike."""
_WORDS: Final = {
    "regressed": "red", "fails": "red", "differs": "yellow", "flaky": "yellow", "unscored": "yellow", "improved": "green"
}  # fmt: skip


def to_text(verdict: SuiteVerdict, *, rows_max: int = ROWS_MAX) -> str:
    """A verdict alone: a few lines and two small tables; ends with a newline."""
    lines = [f"{word_of(verdict).value}  suite {one_line(verdict.suite)}: {one_line(because_of(verdict))}"]
    lines += [f"  ! {one_line(warning)}" for warning in verdict.warnings]
    lines += ["", *aligned(numbers_table(verdict), indent="  ")]
    if changes := changes_table(verdict, rows_max):
        lines += ["", *aligned(changes, indent="  ")]
    lines += [f"  {one_line(line)}" for line in footnotes(verdict, rows_max)]
    return "\n".join(lines) + "\n"


def report_text(report: Report, summary: Summary, *, width: int = WIDTH, rows_max: int = ROWS_MAX) -> Text:
    """A whole run, at most `width` columns wide but for its sentences; `.plain` is the text. Ends with a newline."""
    about = [one_line(report.title), one_line(report.id), moment(report.at)]
    parts = [Text("  ".join(part for part in about if part), "bold"), *_headlines(report, summary), Text()]
    parts += _matrix(report, summary, width)
    parts += _news(report, summary, width, rows_max)
    sections = [
        (wins_table(report, summary), ""),
        _cut(slices_table(report, summary), SLICES_MAX),
        _cut(metrics_table(report, summary), SLICES_MAX),
        (assertions_table(report, summary, ASSERTIONS_MAX), ""),
        (corrections_table(report, summary), ""),
    ]
    for table, more in sections:
        if table:
            parts += [Text(), *_drawn(table, width)]
            parts += [Text(f"  {more}", "dim")] if more else []
    parts += [Text(), *(Text(f"  {one_line(sentence)}") for sentence in totals_sentences(report, summary))]
    parts += [
        Text(f"  {count(times)} without a score: {one_line(why)}") for why, times in summary.unscored_because
    ]
    parts += [
        Text(f"  {one_line(said)}", "yellow" if said.startswith("!") else "")
        for said in judge_sentences(summary)
    ]
    parts += _notes(report.notes)
    return Text("\n").join([*parts, Text()])


def _news(report: Report, summary: Summary, width: int, rows_max: int) -> list[Text]:
    """The cases to look at: one line in the table each, below it what the case is about and why it does not pass."""
    found = news(summary, {case.id: case for case in report.cases})
    if not found:
        return []
    names = heads(report, summary)
    shown = items(report, found[:rows_max], names)
    table: Table = [("case", "change" if report.baseline else "result", *names.values())]
    table += [(item.case, item.said, *item.tallies) for item in shown]
    head, *rows = _drawn(table, width)
    lines = [Text(), head]
    for item, row in zip(shown, rows, strict=True):
        lines += [row, *_below(item, width)]
    return (
        [*lines, Text(f"  ... and {count(len(found) - rows_max)} more", "dim")]
        if len(found) > rows_max
        else lines
    )


def _below(item: Item, width: int) -> Iterable[Text]:
    for said in filter(None, (item.about, item.attack)):
        yield Text(f"    {_clip(one_line(said), width - 4)}", "dim")
    for reason in item.reasons[:_REASONS_MAX]:
        yield Text(f"    {_clip(one_line(reason), width - 4)}")
    if len(item.reasons) > _REASONS_MAX:
        yield Text(f"    ... and {count(len(item.reasons) - _REASONS_MAX)} more", "dim")


def _headlines(report: Report, summary: Summary) -> list[Text]:
    lines = []
    for headline in headlines(report, summary):
        about = f"suite {one_line(headline.about)}: " if headline.about else ""
        lines.append(Text.assemble((headline.word, TONES[headline.tone]), f"  {about}{one_line(headline.because)}"))  # fmt: skip
        lines += [Text(f"  ! {one_line(warning)}", "yellow") for warning in headline.warnings]
        lines += [Text(f"  {headline.difference}")] if headline.difference else []
    return lines


def _matrix(report: Report, summary: Summary, width: int) -> list[Text]:
    """Prompts down, models across; one line per arm where that is no grid, or too wide for one."""
    if (grid := grid_of(summary)) is not None:
        letters = letters_of(report, summary)
        table: Table = [("", "", *grid.models)]
        for prompt, cells in zip(grid.prompts, grid.cells, strict=True):
            drawn = zip(*(_cell(cell, letters) for cell in cells), strict=True)
            for place, (name, line) in enumerate(zip(_GRID, drawn, strict=True)):
                table.append((prompt if not place else "", name, *line))
        if _fits(table, width):
            caption = f"  (in brackets: {interval_name(summary)} over cases)"
            return [*_drawn(table, width), Text(caption, "dim")]
    return _drawn(_fitting(arms_table(report, summary), width), width)


def _fitting(table: Table, width: int) -> Table:
    """Arms beside each other where one line per arm is too wide, else without the columns that can best be spared."""
    turned: Table = list(zip(*table, strict=True))
    if not _fits(table, width) and _fits(turned, width):
        return turned
    for name in ("p95", "any of", "all of", "passed"):
        if not _fits(table, width):
            table = without(table, [place for place, head in enumerate(table[0]) if head.startswith(name)])
    return table


def _fits(table: Table, width: int) -> bool:
    return max(map(_width, aligned(table, indent="  "))) <= width


_GRID: Final = ("pass rate", "cost per 1,000", "median latency")


def _cell(arm: ArmStats | None, letters: Mapping[Arm, str]) -> tuple[str, str, str]:
    if arm is None:
        return NONE, NONE, NONE
    return (
        letters[arm.arm] + rate_cell(arm.rate),
        money(arm.counted.cost_usd_per_1000),
        milliseconds(arm.latency_ms_median),
    )


def _cut(table: Table, rows_max: int) -> tuple[Table, str]:
    hidden = len(table) - 1 - rows_max
    return table[: rows_max + 1], f"... and {count(hidden)} more" if hidden > 0 else ""


def _notes(notes: Sequence[Note]) -> Iterable[Text]:
    if not notes:
        return []
    lines = [Text(), Text("  compatibility")]
    for note in notes:
        advice = f" ({one_line(note.advice)})" if note.advice else ""
        lines.append(Text(f"  {note.effect.value}: {one_line(note.where)}: {one_line(note.what)}{advice}"))
    return lines


def _drawn(table: Table, width: int) -> list[Text]:
    """The table with a quiet header, its long cells cut so that it fits, and its words in their colours."""
    rows = _fitted(table, width - 2)
    lines = [Text(line) for line in aligned(rows, indent="  ")]
    lines[0].stylize("dim")
    for line, row in zip(lines[1:], rows[1:], strict=True):
        word = row[1].partition(" ")[0] if len(row) > 1 else ""
        if word in _WORDS:
            start = line.plain.index(word, 2 + len(row[0]))
            line.stylize(_WORDS[word], start, start + len(word))
    return lines


def _fitted(table: Table, width: int) -> Table:
    """Cuts the widest columns first, never below a readable width."""
    rows = [tuple(one_line(cell) for cell in row) for row in table]
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    spare = width - 2 * (len(widths) - 1)
    while sum(widths) > spare and max(widths) > _COLUMN_MIN:
        widths[widths.index(max(widths))] -= 1
    return [tuple(_clip(cell, size) for cell, size in zip(row, widths, strict=True)) for row in rows]


def _width(text: str) -> int:
    return cell_len(text)


def _clip(text: str, width: int) -> str:
    return text if _width(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"
