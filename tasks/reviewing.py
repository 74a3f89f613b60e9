"""A review of a pull request: lint and suites of what it changes, the head against what production serves. Nothing is released."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from promptship.adapters.files import CheckedOut
from promptship.adapters.secrets import private_directory
from promptship.errors import ConfigError, NotFound, Problem, PromptshipError, Refused
from promptship.evals.budget import refuse_unpriced
from promptship.evals.cases import Suite
from promptship.evals.native import fit, scripts_in
from promptship.evals.online.checks import refuse_wrong
from promptship.evals.regression import equipped, regress
from promptship.evals.row_log import RowLog
from promptship.evals.rows import Arm
from promptship.evals.suite import load_suite
from promptship.evals.suite_facts import looked_over
from promptship.evals.suite_run import Means, raise_if_lost
from promptship.evals.verdict import SuiteVerdict
from promptship.lifecycle.app import App
from promptship.lifecycle.changes import Changed, name_of, what_changed
from promptship.lifecycle.declared import prompts_in
from promptship.lifecycle.lint import LintReport, lint_tree
from promptship.ports import Pull, Tree
from promptship.prompts.diff import diff
from promptship.prompts.diff_text import to_markdown
from promptship.prompts.digest import digest, from_canonical
from promptship.prompts.load import load
from promptship.prompts.model import Prompt
from promptship.release.plan import Plan
from promptship.render import review as render
from promptship.render.redact import redact
from promptship.render.review import PromptTold, ReviewTold, SuiteTold
from promptship.settings_file import SETTINGS_FILE
from promptship.tasks.evaluation import EVALUATIONS, FILES, Assignment, concluded, finished
from promptship.tasks.report import suite_told

SUITE_ROOM: Final = 20_000
"""Characters of one suite's report in the comment."""


@dataclass(frozen=True, slots=True)
class _Base:
    """What the pull request started from, and what production serves."""

    app: App
    tree: Tree | None

    def prompt(self, name: str) -> Prompt | None:
        """The prompt at the base; None: it was not there, or could not be read."""
        if self.tree is None:
            return None
        for path in prompts_in(self.tree, self.app.settings):
            content = self.tree.read(path)
            if name_of(content, path) == name:
                try:
                    return load(path, content).prompt
                except ConfigError:
                    return None
        return None

    def served(self, name: str) -> Prompt | None:
        """The prompt as production serves it."""
        route = self.app.routes.get(name)
        if route is None or route.stable is None:
            return None
        return from_canonical(name, self.app.routes.version(route.stable).content)


def examine(app: App, host: str, pull: Pull) -> ReviewTold:
    """Lint and suites of everything the pull request changes. Safe to repeat: finished trials are not paid again.

    Raises:
        NotFound: the head or the base is not in the repository, also after a fetch.
        Unavailable: the remote, a provider or a disk is down.
    """
    app.repository.fetch(pull.ref)
    base = app.repository.resolve(f"refs/heads/{pull.base}").id
    start = app.repository.merge_base(base, pull.head) or base
    changed = what_changed(app.repository, app.settings, start, pull.head)
    tree = app.repository.tree(pull.head)
    report = _linted(app, tree, changed, start, pull.head)
    place = _Base(app, app.repository.tree(start))
    notes = []
    if fork := _untrusted(app, host, pull):
        notes.append(fork)
    told = [
        _prompt_told(app, host, pull, path, tree, report, place, refused=fork)
        for path in (*changed.prompts, *changed.judged_anew)
    ]
    return ReviewTold(
        head=pull.head, prompts=tuple(told), findings=report.findings, removed=changed.removed, notes=tuple(notes)
    )  # fmt: skip


def _linted(app: App, tree: Tree, changed: Changed, start: str, head: str) -> LintReport:
    """What the change touches; everything when it touches the plans."""
    plans = SETTINGS_FILE in app.repository.changed(start, head)
    paths = None if plans else [*changed.prompts, *changed.judged_anew]
    return lint_tree(tree, app.settings, today=app.clock.now().date(), paths=paths)


def _untrusted(app: App, host: str, pull: Pull) -> str:
    """Why no suite of this pull request is run; empty: they are."""
    section = getattr(app.settings, host)
    if not pull.fork or section.forks:
        return ""
    return (
        "This comes from a fork, so its suites are not run: their scripts would run here, with the providers' keys. "
        f"A maintainer can push the branch to this repository, or set `forks = true` in `[{host}]`."
    )


def _prompt_told(
    app: App, host: str, pull: Pull, path: str, tree: Tree, report: LintReport, place: _Base, *, refused: str
) -> PromptTold:
    errors = [one for one in report.errors if one.path == path]
    loaded = report.loaded.get(path)
    name = loaded.prompt.name if loaded else name_of(tree.read(path), path)
    before, served = place.prompt(name), place.served(name)
    stable = served or before
    told = PromptTold(
        name=name, path=path, lint_errors=len(errors),
        diff=to_markdown(diff(before, loaded.prompt)) if before is not None and loaded is not None else "",
        against=render.against(digest(stable) if stable else None, served=served is not None),
    )  # fmt: skip
    plan = report.plans.get(path)
    if errors or loaded is None or plan is None:
        return told
    arms: dict[Arm, Prompt] = {"candidate": loaded.prompt}
    if stable is not None:
        arms["stable"] = stable
    names = tuple(dict.fromkeys(plan.regression.suites or (name,)))
    if refused:
        suites = tuple(SuiteTold(name=one, word="not asked", because="from a fork") for one in names)
    else:
        suites = _suites_told(app, host, pull, tree, plan, arms, names)
    return PromptTold(
        name=name, path=path, diff=told.diff, against=told.against, suites=suites, lint_errors=0
    )


def _suites_told(
    app: App,
    host: str,
    pull: Pull,
    tree: Tree,
    plan: Plan,
    arms: Mapping[Arm, Prompt],
    names: tuple[str, ...],
) -> tuple[SuiteTold, ...]:
    """Run the suites. What is wrong with them fails; what cannot be asked now is not a pass, and not a failure.

    Raises:
        Unavailable: worth another try.
    """
    try:
        work = _assigned(app, host, pull, tree, plan, arms, names)
        outcome = asyncio.run(_run(app, work, tree))
    except (ConfigError, NotFound) as error:
        return tuple(SuiteTold(name=one, word="fails", because=redact(str(error))) for one in names)
    except Refused as error:
        return tuple(SuiteTold(name=one, word="not asked", because=redact(str(error))) for one in names)
    return outcome


def not_asked(pull: Pull, error: PromptshipError) -> ReviewTold:
    """A review that came to nothing, after the last try."""
    why = f"No verdict: {redact(str(error))}. Push again, or close and reopen, to try once more."
    suite = SuiteTold(name="", word="not asked", because=redact(str(error)))
    prompt = PromptTold(name="all", path="", diff="", against="", suites=(suite,))
    return ReviewTold(head=pull.head, prompts=(prompt,), findings=(), notes=(why,))


def _assigned(
    app: App,
    host: str,
    pull: Pull,
    tree: Tree,
    plan: Plan,
    arms: Mapping[Arm, Prompt],
    names: tuple[str, ...],
) -> Assignment:
    stable = digest(arms["stable"]) if "stable" in arms else None
    prompt = arms["candidate"]
    beside = f"review-{host}-{pull.number}"
    private_directory(app.settings.data)
    root = app.settings.data / EVALUATIONS / beside
    # Rows count for one head and one stable version only.
    directory = root / f"{pull.head[:16]}-{(stable or 'new')[:16]}" / prompt.name
    for old in root.glob("*") if root.is_dir() else ():
        if old != directory.parent and not old.name.startswith(pull.head[:16]):
            shutil.rmtree(old, ignore_errors=True)
    folder = app.settings.repository.suites
    place: Tree = CheckedOut(tree, folder, directory / FILES) if scripts_in(tree, folder) else tree
    suites = tuple(load_suite(place, folder, name) for name in names)
    for suite in suites:
        (directory / suite.name).parent.mkdir(parents=True, exist_ok=True)
    return Assignment(
        release=beside, rules=plan.regression, online=plan.online, stable=stable, arms=arms, suites=suites, directory=directory
    )  # fmt: skip


async def _run(app: App, work: Assignment, tree: Tree) -> tuple[SuiteTold, ...]:
    warnings = []
    for suite in work.suites:
        fit(suite, work.arms)
        problems, found = looked_over(suite)
        if problems:
            raise _unfit(suite, problems)
        warnings.append(tuple(found))
    refuse_wrong(app.settings, work.online, tree, work.arms["candidate"])
    refuse_unpriced(work.suites, work.arms, app.settings)
    try:
        async with equipped(app.settings, models=app.models) as means:
            verdicts = [await _one(app, work, suite, means) for suite in work.suites]
    finally:
        await app.models.aclose()
    concluded(work.stable, verdicts, warnings)
    told = []
    for verdict in verdicts:
        report, cost = suite_told(work, verdict, length_max=SUITE_ROOM)
        word: render.Word = "passes" if verdict.passes else "fails"
        because = redact(verdict.because)
        told.append(SuiteTold(name=verdict.suite, word=word, because=because, cost=cost, report=report))
    return tuple(told)


async def _one(app: App, work: Assignment, suite: Suite, means: Means) -> SuiteVerdict:
    with RowLog(work.directory / f"{suite.name}.jsonl") as log:
        regressed = await regress(
            suite, work.arms, work.rules, means, on_row=log.add, finished=finished(work.directory, suite),
            stop_early=app.settings.evaluation.stop_early,
        )  # fmt: skip
    raise_if_lost(regressed.ran)
    return regressed.verdict


def _unfit(suite: Suite, problems: Iterable[str]) -> ConfigError:
    expected = "expected a suite that the gate of a release lets through; nothing was asked"
    return ConfigError(Problem(suite.path, "", one, expected) for one in problems)
