"""A promptfoo configuration from its files to rows: first the plan, which spends nothing, then the run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from promptship.errors import ConfigError, Problem
from promptship.evals.assertions import BuildContext, Dialect
from promptship.evals.outcome import concluded
from promptship.evals.promptfoo import groups
from promptship.evals.promptfoo.asserting import Assertions
from promptship.evals.promptfoo.columns import Column, arm_facts, columns, providers_of
from promptship.evals.promptfoo.compatibility import check, report
from promptship.evals.promptfoo.contents import Contents
from promptship.evals.promptfoo.environment import is_on, visible_env
from promptship.evals.promptfoo.expansion import expand
from promptship.evals.promptfoo.filters import Filters, expression
from promptship.evals.promptfoo.hooks import Hooks
from promptship.evals.promptfoo.metrics import derived_metrics
from promptship.evals.promptfoo.model import Config, Note, Provider, ProviderSpec, TestCase
from promptship.evals.promptfoo.nunjucks import Nunjucks
from promptship.evals.promptfoo.own_filters import load_filters
from promptship.evals.promptfoo.references import read_text
from promptship.evals.promptfoo.results import About, Results
from promptship.evals.promptfoo.run_state import RunState
from promptship.evals.promptfoo.script_checks import script_faults
from promptship.evals.promptfoo.suite_hook import after_before_all
from promptship.evals.promptfoo.tests import load_sources
from promptship.evals.promptfoo.unit import Kit
from promptship.evals.promptfoo.writing import ENDINGS, write
from promptship.evals.rows import ArmFacts, CaseFacts, Row
from promptship.evals.runner import Fuses, Progress, Ran, run
from promptship.evals.score import Scored
from promptship.evals.services import Scripts, Services
from promptship.evals.session import Session
from promptship.evals.units import Asking

MakeProvider = Callable[[ProviderSpec], Provider]
T = TypeVar("T")
CONCURRENCY: Final = 32
"""Rows at once, when the configuration does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says over the configuration; None: what that says."""

    filters: Filters = field(default_factory=Filters)
    repeat: int | None = None
    concurrency: int | None = None
    delay_ms: float | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    """`--var`: over the default test's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is going to be run. Nothing was spent for it."""

    config: Config
    cases: tuple[TestCase, ...]
    columns: tuple[Column, ...]
    notes: tuple[Note, ...]
    """The compatibility report."""
    digests: tuple[str, ...]
    """Of every case."""
    digest: str
    """Of all inputs: only a run with the same can be gone on with."""
    env: Mapping[str, str]
    rows: int
    """Of the whole run."""
    concurrency: int | None = None
    """Rows at once, when somebody said so."""
    repeat: int = 1
    delay_ms: float = 0.0
    make: MakeProvider

    @property
    def arms(self) -> tuple[ArmFacts, ...]:
        """The columns, for session and reports."""
        return arm_facts(self.columns)

    @property
    def case_facts(self) -> tuple[CaseFacts, ...]:
        """The cases, for session and reports."""
        return groups.case_facts(self.cases)

    @property
    def judge_calls(self) -> tuple[int, int]:
        """Questions to judges as a rule, and at most."""
        return groups.judge_calls_of(self.cases, self.columns)

    def about(self, session: Session, duration_ms: float = 0.0) -> About:
        """What result files say besides the rows."""
        options = {
            "repeat": self.repeat,
            "maxConcurrency": self.concurrency or CONCURRENCY,
            "delay": self.delay_ms,
        }
        return About(
            run_id=session.facts.id, at=session.facts.at, config=self.config, columns=self.columns, options=options,
            cases={groups.case_id(case): case for case in self.cases}, duration_ms=duration_ms,
            derived=derived_metrics(self.config.derived_metrics)[0], env=self.env,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a run came to."""

    ran: Ran
    passed: int
    failed: int
    errors: int
    """Rows without a score."""
    status: int
    """0: the pass rate is what it has to be; 1: it is not; 3: too little has a score to say (`promptship.evals.outcome`)."""
    pass_rate_min: float
    """What it has to be, 0..1."""
    duration_ms: float


async def plan(
    config: Config,
    *,
    scripts: Scripts,
    make: MakeProvider,
    env: Mapping[str, str],
    options: Options | None = None,
) -> Plan:
    """Read the tests, make the providers, look for mistakes.

    Raises:
        ConfigError: what is wrong with tests, providers and assertions; or nothing is left to run.
    """
    options = options or Options()
    settings = {**config.evaluate_options, **config.command_line_options}
    try:
        sources, notes = await load_sources(config, scripts=scripts, env=env)
    except ConfigError as error:
        more: list[Problem] = []
        await _collected(providers_of(config.providers, make, scripts), more)
        raise ConfigError(dict.fromkeys([*error.problems, *more])) from None
    config, sources = await after_before_all(config, sources, Hooks(config.extensions, config.base, scripts))
    config = _left(config, options.filters)
    contents = Contents(config.base)
    problems: list[Problem] = []
    providers = await _collected(providers_of(config.providers, make, scripts), problems)
    columns_ = () if providers is None else columns(config, providers, contents)
    repeat = options.repeat or _count(settings.get("repeat")) or 1
    expanding = expand(
        config, sources, scripts=scripts, filters=_filters(options.filters, settings), repeat=repeat,
        multiply=not is_on(env, "PROMPTFOO_DISABLE_VAR_EXPANSION"), variables=options.variables,
    )  # fmt: skip
    cases = await _collected(expanding, problems) or ()
    problems += check(cases, None if providers is None else columns_, config)
    wrong, needs = await script_faults(config, cases, columns_, scripts)
    if problems or wrong:
        raise ConfigError(dict.fromkeys([*problems, *wrong]))
    digests = groups.case_digests(cases, contents)
    rows = groups.rows_of(cases, columns_)
    if not rows:
        got = f"{len(cases)} tests for {len(columns_)} columns"
        advice = "see --filter and the tests' own providers and prompts"
        raise ConfigError([Problem(str(config.base), "", got, "expected at least one row to run", advice)])
    delay_ms = (
        options.delay_ms
        if options.delay_ms is not None
        else _number(settings.get("delay"), env.get("PROMPTFOO_DELAY_MS"))
    )
    return Plan(
        config=config, cases=cases, columns=columns_, env=env, rows=rows, make=make, repeat=repeat, delay_ms=delay_ms,
        notes=tuple(sorted({*notes, *needs, *report(config, cases, columns_, env)})),
        digests=digests, digest=groups.run_digest(cases, digests, columns_, config, contents), concurrency=options.concurrency or _count(settings.get("maxConcurrency")),
    )  # fmt: skip


async def _collected(working: Awaitable[T], problems: list[Problem]) -> T | None:
    """What comes of it; None: its problems are among the others now."""
    try:
        return await working
    except ConfigError as error:
        problems += error.problems
        return None


async def run_config(
    planned: Plan,
    services: Services,
    asking: Asking,
    *,
    session: Session,
    fuses: Fuses | None = None,
    finished: Iterable[Row] = (),
    progress: Progress | None = None,
) -> Ended:
    """Do every row that is not there yet; each is kept in `session` as soon as it is done.

    Args:
        planned: what to run.
        services: scripts, graders, web.
        asking: calls to providers.
        session: keeps the rows.
        fuses: `asking`, when it has some: ends the run once no endpoint answers.
        finished: rows of an earlier run with the same digest.
        progress: gets every row.

    Raises:
        Unavailable: the disk does not take the rows.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    kit = _kit(planned, services, asking, session, began)
    alone = groups.goes_alone(planned.cases, kit)
    if alone:
        finished = _restored(planned, kit, finished)
    wanted = planned.concurrency or CONCURRENCY
    ran = await run(
        groups.work(planned.cases, planned.columns, kit, digests=planned.digests, settling=kit.assertions.settling),
        services, fuses, concurrency=1 if alone or planned.delay_ms else wanted, on_row=session.add, finished=finished,
        progress=progress,
    )  # fmt: skip
    duration_ms = (loop.time() - began) * 1000
    if kit.hooks:
        results = Results(planned.about(session, duration_ms))
        rows = list(results.of(session.rows()))
        suite = {"description": planned.config.description, "tests": [case.raw for case in planned.cases]}
        await kit.hooks.after_all(
            {
                "prompts": results.prompts(),
                "results": rows,
                "suite": suite,
                "evalId": session.facts.id,
                "config": planned.config.raw,
            }
        )
    return _ended(ran, planned.env, duration_ms)


def write_results(
    paths: Sequence[Path], planned: Plan, session: Session, *, duration_ms: float = 0.0
) -> tuple[Path, ...]:
    """Write those of the paths that are results in promptfoo's shape; gives the others. Raises ConfigError."""
    others: list[Path] = []
    for path in paths:
        if path.suffix.lower() in ENDINGS:
            write(path, planned.about(session, duration_ms), session.rows())
        else:
            others.append(path)
    return tuple(others)


def _kit(planned: Plan, services: Services, asking: Asking, session: Session, began: float) -> Kit:
    config, env, options = planned.config, planned.env, planned.config.evaluate_options
    limit_ms = _number(options.get("timeoutMs"), env.get("PROMPTFOO_EVAL_TIMEOUT_MS"))
    most_ms = _number(options.get("maxEvalTimeMs"), env.get("PROMPTFOO_MAX_EVAL_TIME_MS"))
    renderer = Nunjucks(
        files=Path.cwd(),
        env=visible_env(env, config.env), enabled=not is_on(env, "PROMPTFOO_DISABLE_TEMPLATING"),
        awaited=load_filters(config.nunjucks_filters, base=config.base, scripts=services.scripts),
    )  # fmt: skip
    remembers = groups.remembers(planned.columns, renderer.mentions)
    state = RunState(
        run_id=session.facts.id, remembers=remembers, ends_at=began + most_ms / 1000 if most_ms else None
    )
    plain = renderer.plain()
    context = BuildContext(
        read=lambda name: read_text(config.base / name),
        dialect=Dialect.PROMPTFOO,
        root=config.base,
        render=plain.render,
    )
    return Kit(
        config=config, asking=asking, renderer=renderer, state=state, read=context.read, env=env,
        assertions=Assertions(context, plain, config.base), hooks=Hooks(config.extensions, config.base, services.scripts),
        provider=_Own(planned.make, config.base), delay_ms=planned.delay_ms, limit_s=limit_ms / 1000 if limit_ms else None,
        conversations=not is_on(env, "PROMPTFOO_DISABLE_CONVERSATION_VAR"),
    )  # fmt: skip


class _Own:
    """Providers that tests name for themselves, each made once."""

    def __init__(self, make: MakeProvider, base: Path) -> None:
        self._make, self._base = make, base
        self._made: dict[str, Provider] = {}

    def __call__(self, given: Any) -> Provider:
        key = repr(given)
        if key not in self._made:
            raw: dict[str, Any] = {"id": given} if isinstance(given, str) else dict(given)
            spec = ProviderSpec(
                id=str(raw.get("id", "")), label=str(raw.get("label") or ""), base=self._base,
                config=dict(raw.get("config") or {}), env=dict(raw.get("env") or {}),
            )  # fmt: skip
            self._made[key] = self._make(spec)
        return self._made[key]


def _left(config: Config, filters: Filters) -> Config:
    """Without the providers and prompts that the command line leaves out."""
    if filters.providers is not None:
        pattern = expression(filters.providers, "--filter providers")
        kept = tuple(
            one
            for one in config.providers
            if pattern.search(one.id) or (one.label and pattern.search(one.label))
        )
        config = replace(config, providers=kept)
    if filters.prompts is not None:
        pattern = expression(filters.prompts, "--filter prompts")
        config = replace(config, prompts=tuple(one for one in config.prompts if pattern.search(one.label)))
    return config


def _filters(filters: Filters, settings: Mapping[str, Any]) -> Filters:
    """What of the filters may also stand in the configuration."""
    if filters.range is None and settings.get("filterRange") is not None:
        filters = replace(filters, range=str(settings["filterRange"]))
    if filters.sample is None and (sample := _count(settings.get("filterSample"))) is not None:
        seed = settings.get("filterSampleSeed")
        filters = replace(
            filters, sample=sample, sample_seed=filters.sample_seed if seed is None else str(seed)
        )
    return filters


def _restored(planned: Plan, kit: Kit, finished: Iterable[Row]) -> list[Row]:
    """Rows that build on earlier ones are taken over up to the first that is missing, and leave behind what they left."""
    ready = {row.key: row for row in finished if isinstance(row.score, Scored)}
    kept: list[Row] = []
    for group in groups.work(
        planned.cases, planned.columns, kit, digests=planned.digests, settling=kit.assertions.settling
    ):
        rows = [ready.get((unit.case, unit.arm, unit.trial)) for unit in group.units]
        for unit, row in zip(group.units, rows, strict=True):
            if row is None or row.digest != unit.digest:
                return kept
        for unit, row in zip(group.units, rows, strict=True):
            assert row is not None  # noqa: S101 - just looked
            unit.remember(row)  # type: ignore[attr-defined]
            kept.append(row)
    return kept


def _ended(ran: Ran, env: Mapping[str, str], duration_ms: float) -> Ended:
    scored = [row.score for row in ran.rows if isinstance(row.score, Scored)]
    passed = sum(score.passed for score in scored)
    failed, errors = len(scored) - passed, len(ran.rows) - len(scored)
    least = _number(env.get("PROMPTFOO_PASS_RATE_THRESHOLD"), "100") / 100
    said = concluded(passed=passed, failed=failed, unscored=errors, pass_rate_min=least, down=ran.dead)
    return Ended(
        ran=ran, passed=passed, failed=failed, errors=errors, status=said.exit_code, pass_rate_min=least,
        duration_ms=duration_ms,
    )  # fmt: skip


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _number(*values: Any) -> float:
    """The first that is a number; 0 without one."""
    for value in values:
        try:
            if value is not None and not isinstance(value, bool):
                return float(value)
        except (TypeError, ValueError):
            continue
    return 0.0
