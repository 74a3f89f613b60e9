"""What somebody asks an experiment to compare, as versions that may serve: everything wrong with it at once."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from promptship.errors import ConfigError, NotFound, Problem, Refused
from promptship.lifecycle.app import App
from promptship.lifecycle.experiment_record import CONTROL, Arm
from promptship.lifecycle.lint import LintReport, lint_tree
from promptship.lifecycle.opening import find_prompt
from promptship.lifecycle.risk import effective_risk
from promptship.numbers import short
from promptship.prompts.digest import canonical, digest, from_canonical
from promptship.prompts.load import load
from promptship.prompts.model import Prompt, RiskClass
from promptship.release.environment import prompt_of
from promptship.release.phase import Phase
from promptship.release.plan import METRIC_PATTERN, Plan
from promptship.routing.table import Route, Version

NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
STABLE: Final = "stable"
ARMS_MAX: Final = 20
_WHERE: Final = "experiment start"
_RISKS: Final = tuple(RiskClass)


@dataclass(frozen=True, slots=True)
class Asked:
    """Arms as they were typed, `NAME=VERSION[:WEIGHT]`, and the control's name; empty: the arm with the stable version."""

    arms: tuple[str, ...]
    control: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What an experiment compares: the control first."""

    arms: tuple[Arm, ...]
    plan: Plan
    risk: RiskClass
    metrics: tuple[str, ...]


def resolve(app: App, route: Route, asked: Asked, metrics: Sequence[str]) -> Found:
    """Arms, plan, risk and metrics of an experiment with a prompt that is served.

    Raises:
        ConfigError: arms, weights, control or metrics that cannot be: all at once.
        NotFound: no such version, commit or prompt.
        Refused: a version that may not serve: its lint or suites stopped it, or it needs variables that callers do not send.
    """
    typed = _typed(asked, metrics)
    arms, prompts = [], []
    for name, wanted, weight in typed:
        version, prompt = _version(app, route, name, wanted)
        arms.append(Arm(name=name, version=version.digest, commit=version.commit, weight=weight))
        prompts.append(prompt)
    arms = _control_first(arms, asked.control, route)
    _must_take_the_same(route, app, arms)
    plan = _plan(app, route)
    risk = max(
        (effective_risk(app, one, route) for one in prompts if one is not None),
        key=_RISKS.index,
        default=RiskClass.LOW,
    )
    guarded = [rail.metric for rail in plan.canary.guardrails]
    return Found(arms=tuple(arms), plan=plan, risk=risk, metrics=tuple(dict.fromkeys([*guarded, *metrics])))


def _typed(asked: Asked, metrics: Sequence[str]) -> list[tuple[str, str, float]]:
    found: list[tuple[str, str, float]] = []
    problems = []
    for text in asked.arms:
        name, sign, rest = text.partition("=")
        version, colon, weight = rest.partition(":")
        number = _number(weight) if colon else 1.0
        if not sign or not NAME.fullmatch(name) or not version or number is None:
            expected = (
                "expected NAME=VERSION or NAME=VERSION:WEIGHT: a lower-case name, a version, a weight above 0"
            )
            problems.append(Problem(_WHERE, "--arm", text, expected, "--arm short=3f2a9c:2"))
            continue
        if name in [one for one, _, _ in found]:
            problems.append(
                Problem(_WHERE, "--arm", text, f"expected each name once; {name} is there already")
            )
        found.append((name, version, number))
    names = [name for name, _, _ in found]
    if asked.control and asked.control not in names:
        problems.append(
            Problem(_WHERE, "--control", asked.control, f"expected the name of an arm: {', '.join(names) or 'none is given'}")
        )  # fmt: skip
    if not asked.arms:
        problems.append(Problem(_WHERE, "--arm", "none", "expected at least one arm", "--arm short=3f2a9c"))
    if len(asked.arms) > ARMS_MAX:
        problems.append(Problem(_WHERE, "--arm", f"{len(asked.arms)} arms", f"expected at most {ARMS_MAX}"))
    problems += [
        Problem(_WHERE, "--metric", one, "expected a metric such as error_rate, latency_p95, feedback:escalated or score:tone")
        for one in metrics
        if not re.fullmatch(METRIC_PATTERN, one)
    ]  # fmt: skip
    if problems:
        raise ConfigError(problems)
    return found


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < math.inf else None


def _version(app: App, route: Route, name: str, wanted: str) -> tuple[Version, Prompt | None]:
    """The version behind `stable`, a digest's beginning or a commit, and the prompt at its commit where that can be read."""
    if wanted == STABLE:
        assert route.stable is not None  # noqa: S101 - asked before
        version = app.routes.version(route.stable)
        return version, _at(app, version.commit, route.prompt)
    try:
        version = app.routes.version(wanted)
    except NotFound:
        return _at_commit(app, route.prompt, name, wanted)
    if not _served_or_released(app, route, name, version):
        raise NotFound(f"arm {name}: version {short(version.digest)} is not one of {route.prompt}")
    return version, _at(app, version.commit, route.prompt)


def _at_commit(app: App, prompt: str, name: str, ref: str) -> tuple[Version, Prompt]:
    try:
        commit = app.repository.resolve(ref)
    except NotFound:
        raise NotFound(
            f"arm {name}: {ref!r} is no version of {prompt} in the ledger (at least 6 characters of its digest, or `stable`) "
            "and no commit"
        ) from None
    path = find_prompt(app, commit.id, prompt_of(prompt))
    report = _linted(app, commit.id, path)
    if report.errors:
        first = report.errors[0]
        raise Refused(
            f"arm {name}: lint stops {short(commit.id)}: {first.path}:{first.line}: {first.rule} {first.message}"
        )
    found = report.loaded[path].prompt
    version = Version(digest=digest(found), commit=commit.id, content=canonical(found))
    _must_not_be_rejected(app, prompt, name, version.digest)
    app.routes.keep_version(version)
    return version, found


def _linted(app: App, commit: str, path: str) -> LintReport:
    return lint_tree(app.repository.tree(commit), app.settings, today=app.clock.now().date(), paths=[path])


def _served_or_released(app: App, route: Route, name: str, version: Version) -> bool:
    """Whether the version is one of the prompt's. Raises Refused for one that its suites stopped."""
    served = {
        one
        for record in app.routes.history(route.prompt)
        for one in (record.stable, record.candidate, record.held, *(part.version for part in record.arms))
    }
    return _must_not_be_rejected(app, route.prompt, name, version.digest) or version.digest in served


def _must_not_be_rejected(app: App, prompt: str, name: str, digest_: str) -> bool:
    """Whether the version was released, or tried to be. Raises Refused if the last word on it was no."""
    for one in app.ledger.summaries(prompt=prompt, limit=1000):
        release = app.release(one.id)
        if release.version != digest_:
            continue
        if release.phase is Phase.REJECTED:
            raise Refused(
                f"arm {name}: version {short(digest_)} was rejected ({release.id}): {release.reason}"
            )
        return True
    return False


def _at(app: App, commit: str, prompt: str) -> Prompt | None:
    try:
        path = find_prompt(app, commit, prompt_of(prompt))
        return load(path, app.repository.tree(commit).read(path)).prompt
    except (ConfigError, NotFound):
        return None  # the commit is gone, or its file can no longer be read: the others say how risky the prompt is


def _control_first(arms: list[Arm], control: str, route: Route) -> list[Arm]:
    """The control first: the one that was named, else the arm with the stable version, else one more arm with it."""
    assert route.stable is not None  # noqa: S101 - asked before
    chosen = next((one for one in arms if one.name == control), None)
    chosen = chosen or next((one for one in arms if one.version == route.stable), None)
    if chosen is None:
        if any(one.name == CONTROL for one in arms):
            expected = f"expected `--control {CONTROL}`: the arm of that name has not the stable version"
            raise ConfigError([Problem(_WHERE, "--arm", CONTROL, expected)])
        chosen = Arm(name=CONTROL, version=route.stable, commit=route.commit, weight=1.0)
    if len(arms) == 1 and chosen in arms:
        raise ConfigError(
            [Problem(_WHERE, "--arm", "only the control", "expected an arm to compare with it")]
        )
    return [chosen, *(one for one in arms if one is not chosen)]


def _must_take_the_same(route: Route, app: App, arms: Sequence[Arm]) -> None:
    """Raises Refused unless every arm takes what callers of the stable version send: else an arm would fail by its callers."""
    assert route.stable is not None  # noqa: S101 - asked before
    stable = from_canonical(prompt_of(route.prompt), app.routes.version(route.stable).content).variables
    wanted = {name: variable for name, variable in stable.items() if variable.required}
    for arm in arms:
        taken = from_canonical(prompt_of(route.prompt), app.routes.version(arm.version).content).variables
        missing = [
            name for name, one in wanted.items() if name not in taken or taken[name].type is not one.type
        ]
        more = [name for name, one in taken.items() if one.required and name not in wanted]
        if missing or more:
            raise Refused(
                f"arm {arm.name}: it takes other variables than the stable version ({', '.join(sorted([*missing, *more]))}); "
                "in an experiment every arm must answer the same callers"
            )


def _plan(app: App, route: Route) -> Plan:
    """The prompt's plan at the stable version's commit: it was reviewed, and passed a release."""
    path = find_prompt(app, route.commit, prompt_of(route.prompt))
    report = _linted(app, route.commit, path)
    if path not in report.plans:
        why = next((one.message for one in report.errors), "see `promptship lint`")
        raise Refused(f"the plan of {route.prompt} at {short(route.commit)} cannot be read: {why}")
    return report.plans[path]
