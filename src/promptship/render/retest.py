"""A re-test for people: lines for the command line, a message, Markdown."""

from __future__ import annotations

from typing import Final

from promptship.numbers import milliseconds, moment, money, percent, plural, points, short
from promptship.release.model_changes import ChangeKind
from promptship.release.retest import Proposal, Result, Retest, Standing
from promptship.render.table import aligned, clipped, markdown, one_line

TOLD_MAX: Final = 20
_WORD: Final = {
    Standing.BETTER: "better", Standing.SAME: "same", Standing.WORSE: "WORSE", Standing.CANNOT_TELL: "cannot tell",
}  # fmt: skip
_HEADER = ("prompt", "new model is", "pass rate", "at worst", "margin", "cases", "cost", "latency")


def lines(retest: Retest) -> list[str]:
    """The whole report as plain text."""
    change = retest.change
    head = [f"re-test {retest.id}  {change.model} -> {change.to}  {moment(retest.opened_at)}", _title(retest)]
    rows = [_HEADER, *(_row(one) for one in _ordered(retest))]
    said = [f"  {one.prompt}: {one_line(one.because)}" for one in _ordered(retest)]
    branches = [f"  {one.prompt}: {_proposed(one)}" for _, one in sorted(retest.proposals.items())]
    body = ["", *aligned(rows)] if retest.results else ["no production prompt has a result yet"]
    return [
        *head,
        *body,
        *(["", "because", *said] if said else []),
        *(["", "proposed", *branches] if branches else []),
    ]


def report(retest: Retest) -> str:
    """The whole report as Markdown."""
    change = retest.change
    parts = [f"### `{change.model}` → `{change.to}`", "", f"{_title(retest)} Re-test `{retest.id}`.", ""]
    if not retest.results:
        return "\n".join([*parts, "No production prompt has a result."])
    parts += [markdown(_HEADER, [_row(one) for one in _ordered(retest)]), ""]
    parts += [
        f"- **{one.prompt}** is {_WORD[one.standing]}: {one_line(one.because)}{_cases(one)}"
        for one in _ordered(retest)
    ]
    parts += [f"- {one.prompt}: {_proposed(one)}" for _, one in sorted(retest.proposals.items())]
    return "\n".join(parts)


def told(retest: Retest) -> str:
    """The message to people: a line per prompt, the worst first, as many as can be read."""
    change = retest.change
    results = _ordered(retest)
    tested = plural(len(results), "production prompt")
    head = f"Re-test {retest.id}: {change.model} -> {change.to}, {tested}. {_title(retest)}"
    said = [
        f"{one.prompt}: {_WORD[one.standing]} ({_rates(one)}; cost {_changed(one.cost_change)}, latency "
        f"{_changed(one.latency_change)}) {clipped(one.because, 200)}"
        for one in results[:TOLD_MAX]
    ]
    if len(results) > TOLD_MAX:
        said.append(f"and {len(results) - TOLD_MAX} more: promptship retest show {retest.id}")
    branches = [
        f"{one.prompt}: {_proposed(one)}" for _, one in sorted(retest.proposals.items()) if one.branch
    ]
    return "\n".join([head, *said, *branches[:TOLD_MAX]])


def summary(retest: Retest) -> tuple[str, ...]:
    """A row of a list."""
    change = retest.change
    counts = ", ".join(
        f"{sum(one.standing is word for one in retest.results.values())} {word}"
        for word in Standing
        if any(one.standing is word for one in retest.results.values())
    )
    state = counts or ("nothing to test" if retest.told_at else "open")
    return retest.id, moment(retest.opened_at), change.kind, f"{change.model} -> {change.to}", state


SUMMARY = ("id", "opened", "why", "models", "result")


def _title(retest: Retest) -> str:
    change = retest.change
    extra = (
        " Better means: what answered before is better than what answers now."
        if change.kind is ChangeKind.MOVED
        else ""
    )
    return f"{change.sentence()}." + extra


def _ordered(retest: Retest) -> list[Result]:
    order = [Standing.WORSE, Standing.CANNOT_TELL, Standing.SAME, Standing.BETTER]
    return sorted(retest.results.values(), key=lambda one: (order.index(one.standing), one.prompt))


def _row(one: Result) -> tuple[str, ...]:
    worst = min(
        one.suites, key=lambda suite: 1.0 if suite.low is None else suite.low + suite.margin, default=None
    )
    cases = sum(suite.cases for suite in one.suites)
    return (
        one.prompt, _WORD[one.standing], _rates(one), points(None if worst is None else worst.low),
        "" if worst is None else points(-worst.margin), str(cases),
        f"{money(one.cost_current)} -> {money(one.cost_new)}" if one.cost_new is not None else "not measured",
        f"{milliseconds(one.latency_ms_current)} -> {milliseconds(one.latency_ms_new)}"
        if one.latency_ms_new is not None
        else "not measured",
    )  # fmt: skip


def _rates(one: Result) -> str:
    return (
        ", ".join(f"{percent(suite.current)} -> {percent(suite.new)}" for suite in one.suites)
        or "not measured"
    )


def _cases(one: Result) -> str:
    lost = [case for suite in one.suites for case in suite.regressed]
    won = [case for suite in one.suites for case in suite.improved]
    parts = [f"{word}: {', '.join(cases)}" for word, cases in (("lost", lost), ("won", won)) if cases]
    return f" ({'; '.join(parts)})" if parts else ""


def _changed(change: float | None) -> str:
    return "not measured" if change is None else f"{change * 100:+.0f}%"


def _proposed(one: Proposal) -> str:
    if not one.branch:
        return f"nothing proposed: {one.why_not}"
    where = f"branch {one.branch} ({short(one.commit)})" + (
        f", pushed to {one.pushed_to}" if one.pushed_to else ""
    )
    return where + (f"; {one.needs}" if one.needs else "")
