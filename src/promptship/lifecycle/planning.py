"""What a plan is simulated with: the plan as a release would read it, the traffic, and how stable has been doing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from promptship.canary import latency
from promptship.canary.eprocess import predicted_rate
from promptship.canary.evidence import Baseline, Counts
from promptship.canary.laws import LatencyLaw, Law, RateLaw, assumed, measured_mean
from promptship.canary.scale import is_score
from promptship.canary.simulate import Measured, Traffic
from promptship.errors import ConfigError, NotFound, Problem
from promptship.lifecycle.app import App
from promptship.lifecycle.lint import lint_tree
from promptship.numbers import decimal, duration, money, percent, plural
from promptship.ports import Tree
from promptship.prompts.load import is_prompt_path
from promptship.release.plan import Guardrail, Metric, Plan, is_latency, is_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Everything a forecast needs, and where each number is from."""

    prompt: str
    tree: str
    plan: Plan
    traffic: Traffic
    measured: tuple[Measured, ...]
    """In the plan's order of guardrails."""
    sources: tuple[str, ...]
    """Sentences for people."""


@dataclass(frozen=True, slots=True)
class _History:
    baseline: Baseline
    requests: int
    seconds: float
    """What the requests came in."""


def known(
    app: App,
    tree: Tree,
    prompt: str,
    *,
    requests_per_s: float | None = None,
    base_rates: Mapping[str, float] | None = None,
    parts: Mapping[str, float] | None = None,
) -> Known:
    """What there is to know before a release of `prompt` (name or path) from a tree.

    Options go before telemetry. `base_rates`: by metric, stable's rate (0..1), its p95 in ms, or its mean. `parts`: which part of the
    requests is measured on a metric, 0..1.

    Raises:
        NotFound: no such prompt.
        ConfigError: the plan cannot be read, an option does not fit the plan, or a number is neither given nor measured: all at once.
    """
    name, plan = _plan(app, tree, prompt)
    rates, measured_parts = dict(base_rates or {}), dict(parts or {})
    problems = [
        *_unfit(plan, "--base-rate", rates, _base_rate_ok),
        *_unfit(plan, "--measured", measured_parts, _part_ok),
    ]
    if problems:
        raise ConfigError(problems)
    history = _history(app, name, plan)
    found, sources = [], []
    for guardrail in plan.canary.guardrails:
        one, source = _measured(guardrail, plan, history, rates, measured_parts)
        sources.append(source)
        if one is None:
            advice = f"--base-rate {guardrail.metric}={_example(guardrail.metric)}"
            expected = "expected stable's telemetry, or a number to go by"
            problems.append(Problem(name, guardrail.metric, "not measured yet", expected, advice))
        else:
            found.append(one)
    per_s = requests_per_s or (history.requests / history.seconds if history and history.seconds else 0.0)
    if per_s <= 0:
        problems.append(
            Problem(name, "traffic", "not measured yet", "expected requests per second", "--rps 5")
        )
    if problems:
        raise ConfigError(problems)
    told = (
        "as given"
        if requests_per_s or history is None
        else f"stable's, of the last {duration(history.seconds)}"
    )
    traffic = Traffic(per_s, max(app.settings.watcher.every, 1.0))
    return Known(
        prompt=name, tree=tree.name, plan=plan, traffic=traffic, measured=tuple(found),
        sources=(f"traffic: {decimal(per_s)} requests per second, {told}", *sources),
    )  # fmt: skip


def tree_of(app: App, files: Tree, ref: str | None) -> Tree:
    """Where the plan is read: at `ref`, else in the files as they are; where there are no prompts, at the repository's branch.

    Raises:
        NotFound: no such branch, tag or commit.
    """
    there = any(is_prompt_path(path, app.settings.repository.prompts) for path in files.files())
    if ref is None and there:
        return files
    return app.repository.tree(app.repository.resolve(ref or app.settings.repository.branch).id)


def _plan(app: App, tree: Tree, prompt: str) -> tuple[str, Plan]:
    report = lint_tree(tree, app.settings, today=app.clock.now().date())
    paths = [path for path, loaded in report.loaded.items() if prompt in (path, loaded.prompt.name)]
    if not paths:
        there = ", ".join(sorted(loaded.prompt.name for loaded in report.loaded.values())) or "none"
        raise NotFound(f"no readable prompt {prompt} in {tree.name}; prompts there: {there}")
    path = paths[0]
    if path not in report.plans:
        wrong = [f for f in report.errors if f.rule == "PS601"]
        raise ConfigError(
            [
                Problem(f.path, "", f.message, "expected a plan that can be read", f.advice, f.line)
                for f in wrong
            ]
            or [Problem(path, "release", "a plan that cannot be read", "see `promptship lint`")]
        )
    return report.loaded[path].prompt.name, report.plans[path]


def _history(app: App, prompt: str, plan: Plan) -> _History | None:
    """Stable's telemetry; None without a stable version or without requests of it."""
    route = app.routes.get(prompt)
    if route is None or route.stable is None:
        return None
    now, window_s = app.clock.now(), app.settings.telemetry.baseline_window
    metrics = list({guardrail.metric for guardrail in plan.canary.guardrails} | {Metric.ERROR_RATE.value})
    baseline = app.measurements.baseline(route.stable, metrics, as_of=now, window_s=window_s)
    requests = max((counts.requests for counts in baseline.rates.values()), default=0)
    since = max(_serves_since(app, prompt, route.stable, now), now - timedelta(seconds=window_s))
    return _History(baseline, requests, (now - since).total_seconds()) if requests else None


def _serves_since(app: App, prompt: str, stable: str, now: datetime) -> datetime:
    since = now
    for record in app.routes.history(prompt):
        if record.stable != stable:
            break
        since = record.at
    return since


def _measured(
    guardrail: Guardrail,
    plan: Plan,
    history: _History | None,
    rates: Mapping[str, float],
    parts: Mapping[str, float],
) -> tuple[Measured | None, str]:
    metric = guardrail.metric
    law, part, what = _law_of_history(guardrail, history) if history else (None, 1.0, "")
    if metric in rates:
        law, what = assumed(metric, rates[metric]), f"{in_words(metric, rates[metric])}, as given"
    if law is None:
        return None, f"{metric}: not measured"
    one, zero = (parts[metric], parts[metric]) if metric in parts else _scored(metric, plan) or (part, part)
    partly = "" if min(one, zero) >= 1 else f"; measured on {percent(one)} of the requests"
    if one != zero:
        partly = f"; measured on {percent(one)} of the candidate's requests and {percent(zero)} of stable's"
    return Measured(guardrail, law, one, zero, seeded=history is not None), f"{metric}: {what}{partly}"


def _scored(metric: str, plan: Plan) -> tuple[float, float] | None:
    """The parts of the candidate's and of stable's answers that the plan's check scores; None: no check of this plan."""
    kind, _, name = metric.partition(":")
    if kind not in ("check", "score"):
        return None
    return next(((check.candidate, check.stable) for check in plan.online.checks if check.name == name), None)


def _law_of_history(guardrail: Guardrail, history: _History) -> tuple[Law | None, float, str]:
    metric, baseline = guardrail.metric, history.baseline
    if is_latency(metric):
        answers = latency.total(baseline.latency)
        if answers < latency.REQUESTS_MIN:
            return None, 1.0, ""
        law = LatencyLaw(baseline.latency)
        p95 = latency.edge_ms(law.edges[latency.P95])
        return law, _part(answers, history), f"{in_words(metric, p95)}, of {plural(answers, 'answer')}"
    if is_mean(metric):
        values = baseline.means.get(metric)
        answers = 0 if values is None else latency.total(values)
        if values is None or answers < latency.REQUESTS_MIN:
            return None, 1.0, ""
        law_of_mean = measured_mean(metric, values)
        bad = float(law_of_mean.chances() @ law_of_mean.values)
        mean = 1 - bad if is_score(metric) else bad * law_of_mean.cap
        return (
            law_of_mean,
            _part(answers, history),
            f"{in_words(metric, mean)}, of {plural(answers, 'answer')}",
        )
    counts = baseline.rates.get(metric, Counts())
    if not counts.requests:
        return None, 1.0, ""
    rate = float(predicted_rate(counts.events, counts.requests))
    return (
        RateLaw(rate),
        _part(counts.requests, history),
        f"{percent(rate)}, of {plural(counts.requests, 'request')}",
    )


def _part(measured: int, history: _History) -> float:
    """The part of stable's requests that was measured; nearly all counts as all."""
    part = measured / history.requests
    return 1.0 if part > 0.9 else part  # noqa: PLR2004 - an answer that nobody could measure here and there


def in_words(metric: str, number: float) -> str:
    """A base rate in its unit: `4%`, `p95 1,800 ms`, `$0.0042`."""
    if is_latency(metric):
        return f"p95 {number:,.0f} ms"
    if metric == Metric.COST_USD:
        return money(number)
    return decimal(number) if is_mean(metric) else percent(number)


def _example(metric: str) -> str:
    if is_latency(metric):
        return "1800"
    examples = {Metric.COST_USD.value: "0.004", Metric.TOKENS_OUT.value: "300"}
    return examples.get(metric, "0.8" if is_score(metric) else "0.02")


def _base_rate_ok(metric: str, value: float) -> str:
    if is_latency(metric) or (is_mean(metric) and not is_score(metric)):
        return "" if 0 < value < 1e9 else "expected a number above 0"  # noqa: PLR2004 - of milliseconds, dollars or tokens
    return "" if 0 < value < 1 else "expected a fraction between 0 and 1"


def _part_ok(metric: str, value: float) -> str:  # noqa: ARG001 - as the other check
    return "" if 0 < value <= 1 else "expected a fraction above 0, at most 1"


def _unfit(plan: Plan, option: str, given: Mapping[str, float], wrong: object) -> list[Problem]:
    guarded = [guardrail.metric for guardrail in plan.canary.guardrails]
    problems = []
    assert callable(wrong)  # noqa: S101
    for metric, value in given.items():
        if metric not in guarded:
            problems.append(
                Problem(
                    "plan simulate", option, metric, f"expected a guardrail of the plan: {', '.join(guarded)}"
                )
            )
        elif why := wrong(metric, value):
            problems.append(Problem("plan simulate", option, f"{metric}={value:g}", why))
    return problems
