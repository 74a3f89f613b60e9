"""Lint of a whole tree: the working directory for `promptship lint`, a commit for a release. Same rules, same answer."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import PurePosixPath
from typing import Final

from promptship.errors import ConfigError, NotFound
from promptship.lifecycle.environments import approvers_in, rules_of
from promptship.lifecycle.lint_together import together_findings
from promptship.ports import Tree
from promptship.prompts.lint.catalogue import built_in
from promptship.prompts.lint.finding import LintFinding, Rule
from promptship.prompts.lint.run import PROMPT_RULES, lint_prompt
from promptship.prompts.lint.secrets import masked, secrets_in
from promptship.prompts.lint.subject import LintContext, split_lines
from promptship.prompts.lint.suppress import keep, unknown_suppressions
from promptship.prompts.load import is_prompt_path, load
from promptship.prompts.model import Loaded
from promptship.release.lint import INVALID_PLAN, PLAN_RULES, UNKNOWN_SUITE, lint_plan
from promptship.release.lint_together import TOGETHER_RULES
from promptship.release.plan import Plan
from promptship.settings import Settings
from promptship.settings_file import DEFAULT_PLAN, SETTINGS_FILE, parse_plans, plan_for, plan_line

UNREADABLE = Rule(
    id="PS001",
    name="unreadable-prompt",
    severity="error",
    summary="The file cannot be read as a prompt.",
)
DUPLICATE_NAME = Rule(
    id="PS002",
    name="duplicate-name",
    severity="error",
    summary="Two files hold prompts of the same name: releases and routes go by name.",
)
RULES: Final[dict[str, Rule]] = {
    rule.id: rule
    for rule in (
        UNREADABLE,
        DUPLICATE_NAME,
        *PROMPT_RULES.values(),
        *PLAN_RULES.values(),
        *TOGETHER_RULES.values(),
    )
}
"""Every rule there is, by id."""

_NAMES_MAX: Final = 10_000
_names: Final[dict[tuple[str, bytes], str | None]] = {}
"""Names of prompts by path and content, which never change."""
SUITE_SUFFIXES: Final = (".yaml", ".yml", ".json", ".jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class LintReport:
    """What lint found in a tree, and what it read there. `plans` lacks the prompts whose plan cannot be read."""

    findings: tuple[LintFinding, ...]
    loaded: dict[str, Loaded]
    plans: dict[str, Plan]
    texts: dict[str, str]
    """Every file that was looked at, for excerpts; holds prompt text, so it stays out of logs and of the ledger."""

    @property
    def errors(self) -> tuple[LintFinding, ...]:
        """The findings that stop a release."""
        return tuple(finding for finding in self.findings if finding.severity == "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Around:
    """What the prompts of a tree have in common."""

    settings: Settings
    context: LintContext
    plans: dict[str, Plan] | None
    """None: the tree's plans cannot be read; then only the prompts themselves are looked at."""
    config: str
    config_text: str
    """Empty: the tree has no settings file."""
    suites: frozenset[str]
    traffic_per_s: float | None
    route: str


def lint_tree(
    tree: Tree,
    settings: Settings,
    *,
    today: date,
    paths: Sequence[str] | None = None,
    config: str = SETTINGS_FILE,
    traffic_per_s: float | None = None,
    route: str = "",
) -> LintReport:
    """Lint the prompts of a tree with the plans of the same tree; approvers, models and globs come from `settings`.

    Args:
        tree: the working directory or a commit.
        settings: what the service (or the command) was started with.
        today: the day against which models' retirement is judged.
        paths: files, or directories of prompts, relative to the tree; None: all prompts.
        config: path of the settings file in the tree, where the plans are.
        traffic_per_s: requests per second of the prompts, when known.
        route: name of the route that is released to: its environment may have another plan; empty: the default environment.

    Raises:
        NotFound: a path is not in the tree.
    """
    texts: dict[str, str] = {}
    files = tree.files()
    around, findings = _around(
        tree, settings, files, today=today, config=config, traffic_per_s=traffic_per_s, route=route
    )
    loaded: dict[str, Loaded] = {}
    plans: dict[str, Plan] = {}
    if around.config_text:
        texts[config] = around.config_text
    for path in _chosen(tree, files, settings, paths):
        content = tree.read(path)
        texts[path] = content.decode("utf-8-sig", "replace")
        try:
            loaded[path] = load(path, content)
        except ConfigError as error:
            findings += _as_findings(UNREADABLE, error)
            continue
        findings += lint_prompt(loaded[path], texts[path], around.context)
        findings += unknown_suppressions(path, split_lines(texts[path]), RULES)
        plan, about_plan = _plan(loaded[path], texts[path], around)
        findings += about_plan
        if plan is not None:
            plans[path] = plan
    findings += together_findings(tree, settings, loaded, instead=rules_of(settings, route).plan)
    findings += _duplicates(loaded, _named_elsewhere(tree, files, settings, loaded))
    return LintReport(findings=tuple(sorted(set(findings))), loaded=loaded, plans=plans, texts=texts)


def suite_names(files: Sequence[str], directory: str) -> frozenset[str]:
    """Names of the suites of a tree: the files of the suites' directory, in sub-directories too, without suffix."""
    paths = (PurePosixPath(file) for file in files)
    inside = (path.relative_to(directory) for path in paths if path.is_relative_to(directory))
    return frozenset(path.with_suffix("").as_posix() for path in inside if path.suffix in SUITE_SUFFIXES)


def _around(
    tree: Tree,
    settings: Settings,
    files: Sequence[str],
    *,
    today: date,
    config: str,
    traffic_per_s: float | None,
    route: str,
) -> tuple[_Around, list[LintFinding]]:
    findings: list[LintFinding] = []
    plans: dict[str, Plan] | None = dict(settings.plans)
    text = ""
    if config in files:
        try:
            text = tree.read(config).decode("utf-8", "replace")
            plans = parse_plans(text, file=config)
        except ConfigError as error:
            plans = None
            findings += _as_findings(INVALID_PLAN, error)
    context = LintContext(catalogue=built_in().with_models(settings.models), today=today)
    suites = suite_names(files, settings.repository.suites)
    around = _Around(
        settings=settings,
        context=context,
        plans=plans,
        config=config,
        config_text=text,
        suites=suites,
        traffic_per_s=traffic_per_s,
        route=route,
    )
    return around, findings


def _chosen(
    tree: Tree, files: Sequence[str], settings: Settings, paths: Sequence[str] | None
) -> Iterator[str]:
    """The prompt files meant by `paths`, each once, in order of the tree."""
    prompts = [path for path in files if is_prompt_path(path, settings.repository.prompts)]
    if paths is None:
        yield from prompts
        return
    chosen: set[str] = set()
    for path in (str(PurePosixPath(path)) for path in paths):
        below = [file for file in files if PurePosixPath(file).is_relative_to(path)]
        if not below:
            message = f"no file {path} in {tree.name}"
            raise NotFound(message)
        # A file that is named is linted even where the globs would not look; a directory means the prompts in it.
        chosen |= {path} if below == [path] else set(prompts) & set(below)
    yield from (file for file in files if file in chosen)


def _plan(loaded: Loaded, text: str, around: _Around) -> tuple[Plan | None, list[LintFinding]]:
    """The plan of one prompt, and what is wrong with it.

    Findings stand where the plan is written: in the prompt's `release:` block when it changes anything, otherwise in the
    settings file, where equal findings of several prompts become one.
    """
    if around.plans is None:
        return None, []
    settings = around.settings
    instead = rules_of(settings, around.route).plan
    try:
        plan = plan_for(loaded.prompt, around.plans, loaded.source, instead=instead)
    except ConfigError as error:
        return None, _as_findings(INVALID_PLAN, error)  # cannot be silenced: there would be no plan to go by
    name = instead or loaded.prompt.release.get("plan", DEFAULT_PLAN)
    own = bool(loaded.prompt.release.keys() - {"plan"}) or not around.config_text
    here = (loaded.source.path, loaded.source.line("release"))
    path, line = here if own else (around.config, plan_line(around.config_text, name))
    found = lint_plan(
        plan,
        path=path,
        line=line,
        prompt=loaded.prompt.name,
        suites=around.suites,
        feedback_kinds=settings.telemetry.feedback,
        approvers=approvers_in(settings, around.route),
        watcher_every_s=settings.watcher.every,
        traffic_per_s=around.traffic_per_s,
        risk=loaded.prompt.risk,
    )
    if not plan.regression.suites:  # a suite missing under the prompt's name is a matter of the prompt
        found = tuple(
            replace(finding, path=here[0], line=here[1]) if finding.rule == UNKNOWN_SUITE.id else finding
            for finding in found
        )
    lines = {loaded.source.path: split_lines(text), around.config: split_lines(around.config_text)}
    return plan, [finding for finding in found if any(keep([finding], lines[finding.path]))]


def _as_findings(rule: Rule, error: ConfigError) -> list[LintFinding]:
    findings = []
    for problem in error.problems:
        what = f"{problem.key} is {problem.got}" if problem.key else problem.got
        message = f"{masked(what, secrets_in(what))}; {problem.expected}"
        findings.append(rule.found(problem.file, max(problem.line, 1), message, problem.advice))
    return findings


def _duplicates(loaded: dict[str, Loaded], elsewhere: dict[str, str]) -> Iterator[LintFinding]:
    """Every file after the first of a name, and those whose name is taken by a file that was not looked at."""
    first = dict(elsewhere)
    for path, prompt in loaded.items():
        name = prompt.prompt.name
        if name in first:
            line = prompt.source.line("name")
            message = f"prompt `{name}` is also defined in {first[name]}"
            yield DUPLICATE_NAME.found(path, line, message, "give one of them another name")
        first.setdefault(name, path)


def _named_elsewhere(
    tree: Tree, files: Sequence[str], settings: Settings, loaded: Collection[str]
) -> dict[str, str]:
    """Name -> path of the tree's other prompts. What cannot be read has no name; it is not asked about here."""
    names: dict[str, str] = {}
    for path in files:
        if path not in loaded and is_prompt_path(path, settings.repository.prompts):
            name = _name_in(path, tree.read(path))
            if name is not None:
                names.setdefault(name, path)
    return names


def _name_in(path: str, content: bytes) -> str | None:
    """Name of the prompt in a file; None: it cannot be read. A push of many prompts asks for each of them once per prompt."""
    key = path, hashlib.sha256(content).digest()
    if key in _names:
        return _names[key]
    try:
        name = load(path, content).prompt.name
    except ConfigError:
        name = None
    if len(_names) >= _NAMES_MAX:
        _names.clear()
    _names[key] = name
    return name
