"""A review of a pull request as one comment: what changes, what the suites say, what it cost. Pure; everything here is redacted text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from promptship.numbers import plural, short
from promptship.prompts.lint.finding import LintFinding
from promptship.render.redact import redact
from promptship.render.table import clipped

LENGTH_MAX: Final = 64_000
"""In characters. GitHub takes comments of 65,536."""
FINDINGS_MAX: Final = 50
_DIFF_MAX: Final = 12_000
_CUT: Final = "\n\n... the rest is left out here: a comment has no room for it."
_SPECIAL: Final = re.compile(r"[\\*_\[\]~|!]")
Word = Literal["passes", "fails", "not asked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteTold:
    """What became of one suite."""

    name: str
    word: Word
    because: str
    cost: str = ""
    report: str = ""
    """Markdown: arms, changed cases, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptTold:
    """What became of one prompt."""

    name: str
    path: str
    diff: str
    """Markdown of what the model would see differently; empty: there is nothing to compare with."""
    against: str
    """What the suites compared it with, in words."""
    suites: tuple[SuiteTold, ...] = ()
    lint_errors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewTold:
    """A whole review."""

    head: str
    prompts: tuple[PromptTold, ...]
    findings: tuple[LintFinding, ...]
    removed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def outcome(self) -> Literal["success", "failure", "neutral"]:
        """`failure` when anything fails; `neutral` when something was not asked; only the rest is a success."""
        words = {suite.word for prompt in self.prompts for suite in prompt.suites}
        if "fails" in words or any(finding.severity == "error" for finding in self.findings):
            return "failure"
        return "neutral" if "not asked" in words else "success"


def title(review: ReviewTold) -> str:
    """One line."""
    errors = sum(finding.severity == "error" for finding in review.findings)
    suites = [suite for prompt in review.prompts for suite in prompt.suites]
    parts = [plural(errors, "lint error")] if errors else []
    for word in ("fails", "not asked", "passes"):
        number = sum(suite.word == word for suite in suites)
        if number:
            parts.append(f"{plural(number, 'suite')} {word}")
    if not parts:
        return "no prompt changes" if not review.prompts else "no lint errors"
    return f"{plural(len(review.prompts), 'prompt')}: {', '.join(parts)}"


def text(review: ReviewTold) -> str:
    """The comment, without its marker: in at most `LENGTH_MAX` characters, cut from the end of the details."""
    heads = {
        "success": "#### Prompts: passes",
        "failure": "#### Prompts: does not pass",
        "neutral": "#### Prompts: no verdict",
    }
    lines = [heads[review.outcome], "", f"Commit `{review.head[:12]}`: {title(review)}.", ""]
    lines += [f"> {note}  " for note in review.notes] + ([""] if review.notes else [])
    if review.prompts:
        lines += [*_table(review.prompts), ""]
    lines += [f"- prompt {_plain(name)} has no file any more; it is served on" for name in review.removed]
    lines += _findings(review.findings)
    told = "\n".join(lines).rstrip()
    room = LENGTH_MAX - len(told)
    for prompt in review.prompts:
        for part in _details(prompt, max(room // max(len(review.prompts), 1), 500)):
            if len(part) + 2 > room - len(_CUT):
                return told + _CUT + "\n"
            told, room = f"{told}\n\n{part}", room - len(part) - 2
    return told + "\n"


def _table(prompts: Iterable[PromptTold]) -> list[str]:
    head = ["prompt", "suite", "verdict", "because", "cost"]
    rows = [head, ["---"] * len(head), *([_plain(cell) for cell in row] for row in _rows(prompts))]
    return ["| " + " | ".join(row) + " |" for row in rows]


def _rows(prompts: Iterable[PromptTold]) -> Iterable[Sequence[str]]:
    for prompt in prompts:
        if not prompt.suites:
            why = f"{plural(prompt.lint_errors, 'lint error')}: no suite is run" if prompt.lint_errors else ""
            yield prompt.name, "", "fails" if prompt.lint_errors else "no suite", why, ""
        for suite in prompt.suites:
            yield prompt.name, suite.name, suite.word, suite.because, suite.cost


def _findings(findings: Sequence[LintFinding]) -> list[str]:
    if not findings:
        return []
    lines = ["", f"**Lint**: {plural(len(findings), 'finding')}", ""]
    for one in findings[:FINDINGS_MAX]:
        advice = f" ({one.advice})" if one.advice else ""
        said = _plain(f"{one.message}{advice}")
        lines.append(f"- {_plain(one.path)}:{one.line} {one.severity} {one.rule}: {said}")
    if len(findings) > FINDINGS_MAX:
        lines.append(f"- ... and {len(findings) - FINDINGS_MAX} more")
    return lines


def _details(prompt: PromptTold, room: int) -> Iterable[str]:
    if prompt.diff:
        diff = redact(prompt.diff)
        if len(diff) > min(_DIFF_MAX, room):
            diff = "The change is too long for a comment; see the files."
        yield _folded(f"What changes in {prompt.name}", diff)
    for suite in prompt.suites:
        if suite.report:
            yield _folded(f"Suite {suite.name} of {prompt.name}, against {prompt.against}", suite.report)


def _folded(head: str, body: str) -> str:
    return f"<details><summary>{_plain(head)}</summary>\n\n{body.strip()}\n\n</details>"


def _plain(said: str) -> str:
    """Somebody's words on one line, without HTML and without calling anybody by @name."""
    line = clipped(redact(said), 400).replace("&", "&amp;").replace("<", "&lt;")
    return _SPECIAL.sub(r"\\\g<0>", line.replace("@", "@\u200b").replace("`", "'"))


def against(digest: str | None, *, served: bool) -> str:
    """What a candidate is compared with, in words."""
    if digest is None:
        return "nothing: it is new"
    return f"{'production' if served else 'the base'} ({short(digest)})"
