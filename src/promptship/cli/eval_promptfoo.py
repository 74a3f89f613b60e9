"""promptfoo's configurations for `promptship eval`: run unchanged, with a report of what works otherwise here before the run."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

from promptship.adapters.answer_cache import AnswerCache
from promptship.adapters.providers.prices import Prices
from promptship.adapters.providers.wire import Wire, WireWeb
from promptship.adapters.secrets import private_directory
from promptship.cli import context
from promptship.cli.eval import Wishes
from promptship.cli.eval_filters import filters_of, variables_of
from promptship.cli.eval_notes import calls_of, say_notes
from promptship.cli.eval_output import report_of, resumable, say_estimate, say_writing, shown
from promptship.evals.calls import Calls, Limits
from promptship.evals.progress import Watch
from promptship.evals.promptfoo.budget import refuse_unpriced
from promptship.evals.promptfoo.graders import PromptfooGraders
from promptship.evals.promptfoo.judge_checks import refuse_unjudged
from promptship.evals.promptfoo.loading import load
from promptship.evals.promptfoo.providers import Providers
from promptship.evals.promptfoo.run import CONCURRENCY, Options, Plan, plan, run_config, write_results
from promptship.evals.regression import ANSWERS
from promptship.evals.reports.formats import refuse_places
from promptship.evals.scripts.pool import ScriptPool
from promptship.evals.services import Services
from promptship.evals.session import Session
from promptship.evals.suite_run import counted
from promptship.settings import Settings


def run_files(
    wishes: Wishes, paths: tuple[Path, ...], variables: tuple[str, ...], only: tuple[str, ...]
) -> int:
    """Exit status of the run, after its results are written."""
    options = Options(
        filters=filters_of(only),
        repeat=wishes.trials,
        concurrency=wishes.concurrency,
        variables=variables_of(variables),
    )
    return asyncio.run(_run(wishes, paths, options))


async def _run(wishes: Wishes, paths: tuple[Path, ...], options: Options) -> int:
    settings = _settings(wishes)
    data = Path.cwd() / ".promptship" if settings is None else settings.data
    prices = Prices.of({} if settings is None else settings.models)
    wire = Wire()
    async with ScriptPool() as scripts:
        config = await load(paths, directory=Path.cwd(), env=os.environ, scripts=scripts)
        env = {**os.environ, **config.env}
        providers = Providers(env=env, wire=wire, prices=prices)
        try:
            planned = await plan(config, scripts=scripts, make=providers.make, env=env, options=options)
            default = _default_grader(planned)
            asked = PromptfooGraders(providers, Calls(), scripts, config.base, default=default)
            refuse_unjudged(planned, asked)
            unpriced = wishes.allow_unpriced or (settings is not None and settings.evaluation.allow_unpriced)
            if not (unpriced or wishes.dry_run):
                refuse_unpriced(planned, asked, wishes.spend_max_usd)
            say_notes(planned.notes)
            if wishes.dry_run:
                say_estimate(_title(planned), calls_of(planned))
                return 0
            limits = Limits(
                concurrency=planned.concurrency or CONCURRENCY,
                adaptive=wishes.adaptive,
                spend_max_usd=wishes.spend_max_usd,
                allow_unpriced=unpriced,
            )
            private_directory(data)
            wanted = wishes.cache and planned.config.evaluate_options.get("cache") is not False
            with ExitStack() as stack:
                answers = stack.enter_context(AnswerCache(data / ANSWERS) if wanted else nullcontext())
                calls = Calls(limits, answers=answers)
                graders = PromptfooGraders(providers, calls, scripts, config.base, default=default)
                services = Services(scripts=scripts, graders=graders, web=WireWeb(wire))
                return await _held(
                    wishes, planned, services, calls, stack.enter_context(_session(wishes, planned, data))
                )
        finally:
            await providers.aclose()
            await wire.aclose()


async def _held(wishes: Wishes, planned: Plan, services: Services, calls: Calls, session: Session) -> int:
    title = _title(planned)
    outputs = wishes.outputs or tuple(Path.cwd() / path for path in planned.config.output_paths)
    refuse_places(outputs)
    if wishes.spend_max_usd is not None:  # what a run has cost before it was resumed counts, too
        calls.spent_usd = sum((row.cost_usd or 0.0) + row.judge_cost_usd for row in session.rows())
    print(f"run {session.facts.id}: {planned.rows:,} rows", file=sys.stderr)
    with resumable(session), Watch(planned.rows, title=title) as progress:
        ended = await run_config(
            planned,
            services,
            calls,
            session=session,
            fuses=calls,
            finished=counted(session.rows(), calls),
            progress=progress,
        )
    # `-o out.json` is promptfoo's own shape, so that dashboards go on; the other formats are ours.
    say_writing(outputs)
    rest = write_results(outputs, planned, session, duration_ms=ended.duration_ms)
    for path in (path for path in outputs if path not in rest):
        print(f"wrote {path}", file=sys.stderr)
    report = report_of(
        session, title=title, notes=planned.notes, duration_s=ended.duration_ms / 1000, reused=ended.ran.reused,
        pass_rate_min=ended.pass_rate_min, down=ended.ran.dead,
    )  # fmt: skip
    return shown(report, wishes, outputs=rest)


def _title(planned: Plan) -> str:
    return planned.config.description or planned.config.paths[0].name


def _settings(wishes: Wishes) -> Settings | None:
    """Where runs are kept and what models cost: as promptship.toml says, if there is one."""
    path = wishes.settings or context.CONFIG
    return context.settings(path) if wishes.settings or path.exists() else None


def _session(wishes: Wishes, planned: Plan, data: Path) -> Session:
    if wishes.resume is not None:
        return Session.resume(data, wishes.resume, digest=planned.digest)
    what = ", ".join(path.name for path in planned.config.paths)
    return Session.create(
        data,
        what=what,
        digest=planned.digest,
        arms=planned.arms,
        cases=planned.case_facts,
        trials=planned.rows,
    )


def _default_grader(planned: Plan) -> Any:
    options = planned.config.default_test.get("options")
    named = options.get("provider") if isinstance(options, Mapping) else None
    return planned.config.command_line_options.get("grader") or named
