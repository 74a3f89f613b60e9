"""One look at a running canary: count, judge, and let the verdict's effect be the same ledger transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from promptship.canary.evidence import Baseline, Health, Outcome, StageCounts, Verdict
from promptship.canary.look import take_look as judge
from promptship.canary.state import State
from promptship.errors import NotFound
from promptship.lifecycle.app import App
from promptship.lifecycle.ending import without_split
from promptship.lifecycle.race import rereading
from promptship.lifecycle.steps import ask_for, begin_stage
from promptship.ports import RouteChange
from promptship.release import events as e
from promptship.release.history import Release
from promptship.release.phase import WATCHED, Phase
from promptship.release.plan import Plan
from promptship.render.verdict import headline
from promptship.routing.table import Route

ACTOR = "watcher"


@dataclass(frozen=True, slots=True)
class _Effect:
    """What a verdict leads to: facts, the route that goes with them, and whether a flow run is wanted next."""

    facts: tuple[e.Fact, ...] = ()
    route: RouteChange | None = None
    due: bool = False


class Gate(Protocol):
    """The telemetry's quality gate for one release. A check costs some 0.2 s, so between decisions an earlier one may do."""

    def __call__(self, *, fresh: bool) -> Health:
        """The health as it was checked last, or, if `fresh`, as it is now."""
        ...


@rereading
def look(app: App, release_id: str, *, gate: Gate) -> Verdict | None:
    """Look once at a release that has traffic; None when it has none (any more).

    A verdict that would have an effect is given only on telemetry that has just passed its gate. The lease of the dead man's
    switch is renewed only after the look has been written: a watcher that cannot read, judge or write loses the candidate its
    traffic.

    Raises:
        Unavailable: ledger or telemetry did not answer; the lease was not renewed.
    """
    release = app.release(release_id)
    route = app.routes.get(release.prompt)
    if release.phase not in WATCHED or release.stage is None or release.plan is None:
        return None
    if route is None or route.split is None or route.split.release_id != release.id:
        return None
    now = app.clock.now()
    plan = release.plan
    baseline = _baseline(app, release, plan)
    counts = _counts(app, release, plan, now)
    judged = partial(
        judge, plan.canary, release.stage, release.looks + 1, _state(release, plan, baseline), counts,
        elapsed_s=(now - (release.stage_started_at or now)).total_seconds(),
    )  # fmt: skip
    health = gate(fresh=False)
    state, verdict = judged(health)
    effect = _effect(app, release, route, verdict, now)
    if effect.facts:
        health = gate(fresh=True)
        if health.problems:
            state, verdict = judged(health)
            effect = _effect(app, release, route, verdict, now)
    if effect.facts or _is_news(release, state, verdict):
        looked = e.Looked(
            stage=release.stage, look=release.looks + 1, as_of=now,
            state=state.model_dump(mode="json"), verdict=verdict.model_dump(mode="json"),
            given=_given(counts, health, baseline),
        )  # fmt: skip
        app.ledger.append(
            release.id, [looked, *effect.facts], expected_seq=release.seq, actor=ACTOR, at=now,
            route=effect.route, due_at=now if effect.due else None, keep_due=not effect.facts,
        )  # fmt: skip
    if effect.route is None:
        app.routes.renew(release.prompt, release.id, until=now + timedelta(seconds=plan.canary.lease))
    return verdict


def _counts(app: App, release: Release, plan: Plan, now: datetime) -> StageCounts:
    matures = {guardrail.metric: guardrail.matures_after for guardrail in plan.canary.guardrails}
    return app.measurements.counts(release.id, release.stage or 0, matures_after_s=matures, as_of=now)


def _baseline(app: App, release: Release, plan: Plan) -> Baseline | None:
    """Stable's history from before the release; None when an earlier look began with it."""
    if release.last_look is not None:
        return None
    metrics = [guardrail.metric for guardrail in plan.canary.guardrails]
    return app.measurements.baseline(
        release.stable or "", metrics, as_of=release.opened_at,
        window_s=app.settings.telemetry.baseline_window,
    )  # fmt: skip


def _state(release: Release, plan: Plan, baseline: Baseline | None) -> State:
    """The e-processes as the last look left them; fresh ones are seeded with history from before the release only."""
    last = release.last_look
    if last is None:
        return State.fresh(plan.canary, baseline or Baseline())
    state = State.model_validate(last.state)
    return state if last.stage == release.stage else state.next_stage()


def _given(counts: StageCounts, health: Health, baseline: Baseline | None) -> dict[str, Any]:
    """What `promptship release replay` takes the look again with; what is at its default is left out."""
    given: dict[str, Any] = {"counts": counts.model_dump(mode="json", exclude_defaults=True)}
    if health.problems:
        given["problems"] = list(health.problems)
    if baseline is not None:
        given["baseline"] = baseline.model_dump(mode="json", exclude_defaults=True)
    return given


def _is_news(release: Release, state: State, verdict: Verdict) -> bool:
    """A look that counted nothing new and concludes the same is not written down: it would say nothing."""
    last = release.last_look
    if last is None or last.stage != release.stage:
        return True
    before = Verdict.model_validate(last.verdict).outcome
    return before is not verdict.outcome or last.state != state.model_dump(mode="json")


def _effect(app: App, release: Release, route: Route, verdict: Verdict, now: datetime) -> _Effect:
    match verdict.outcome:
        case Outcome.ROLL_BACK:
            fact = e.RolledBack(
                by="guardrail", reason=headline(verdict), version=release.stable,
                verdict=verdict.model_dump(mode="json"),
            )  # fmt: skip
            return _Effect((fact,), without_split(route), due=True)
        case _ if release.is_paused:
            return _Effect()  # the traffic stays as it is; only a rollback does not wait
        case Outcome.ADVANCE if release.phase is Phase.CANARY:
            return _advance(app, release, route, verdict, now)
        case Outcome.ASK if release.phase is Phase.CANARY:
            return _Effect((ask_for(app, release, "undecided", headline(verdict)),), due=True)
        case _:
            return _Effect()


def _advance(app: App, release: Release, route: Route, verdict: Verdict, now: datetime) -> _Effect:
    if release.plan is None or release.stage is None or release.stable is None:
        message = f"release {release.id} has traffic but no plan, stage or stable version"
        raise NotFound(message)
    following = release.stage + 1
    if following == len(release.plan.canary.stages):
        if release.plan.approval.required == 0:
            return _Effect((e.Approved(approvers=()),), due=True)
        return _Effect((ask_for(app, release, "promote", headline(verdict)),), due=True)
    fact, change = begin_stage(
        release, release.plan, route, following, stable=release.stable, salt=release.salt, now=now
    )
    return _Effect((fact,), change)
