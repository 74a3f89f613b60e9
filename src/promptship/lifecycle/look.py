"""One look at a running canary: count, judge, and let the verdict's effect be the same ledger transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from promptship.canary.evidence import Baseline, Health, Outcome, StageCounts, Verdict
from promptship.canary.look import take_look as judge
from promptship.canary.state import State
from promptship.errors import Conflict, NotFound
from promptship.lifecycle.app import App
from promptship.lifecycle.freezes import freeze_of
from promptship.lifecycle.groups import (
    advancing,
    ends_along,
    has_traffic,
    members,
    were_all_looked_at,
    without_split,
    write,
)
from promptship.lifecycle.race import rereading
from promptship.lifecycle.stages import ask_for, begin_stage
from promptship.ports import Append, RouteChange
from promptship.release import events as e
from promptship.release.history import Release
from promptship.release.phase import WATCHED, Phase
from promptship.release.plan import Plan
from promptship.release.together import before_asking, before_stage
from promptship.render.verdict import headline
from promptship.routing.table import Route

ACTOR = "watcher"


@dataclass(frozen=True, slots=True)
class _Effect:
    """What a verdict leads to: facts, the route that goes with them, whether a flow run is wanted next, and the same for its group."""

    facts: tuple[e.Fact, ...] = ()
    route: RouteChange | None = None
    due: bool = False
    along: tuple[Append, ...] = ()


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
    if effect.facts or _is_first_yes(release, verdict):
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
        own = Append(
            release_id=release.id, facts=[looked, *effect.facts], expected_seq=release.seq, route=effect.route,
            due_at=now if effect.due else None, keep_due=not effect.facts,
        )  # fmt: skip
        write(app, [own, *effect.along], actor=ACTOR, at=now)
    if effect.route is None:
        _renew(app, release, plan, now)
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


def _is_first_yes(release: Release, verdict: Verdict) -> bool:
    """Whether others may advance on this verdict later, so that it needs fresh telemetry although nothing follows from it now."""
    waits = bool(release.group) and verdict.outcome is Outcome.ADVANCE and release.phase is Phase.CANARY
    return waits and release.id not in advancing([release])


def _renew(app: App, release: Release, plan: Plan, now: datetime) -> None:
    """Renew the lease, in a group those of all or none. A member that cannot be looked at any more costs all of them their traffic."""
    lease = timedelta(seconds=plan.canary.lease)
    if not release.group:
        app.routes.renew(release.prompt, release.id, until=now + lease)
        return
    # Seen in the last third, renewed for two: nobody is without a look for longer than the lease.
    if were_all_looked_at(app, release, every_s=plan.canary.lease / 3, now=now):
        for one in members(app, release):
            app.routes.renew(one.prompt, one.id, until=now + 2 * lease / 3)


def _effect(app: App, release: Release, route: Route, verdict: Verdict, now: datetime) -> _Effect:
    match verdict.outcome:
        case Outcome.ROLL_BACK:
            fact = e.RolledBack(
                by="guardrail", reason=headline(verdict), version=release.stable,
                verdict=verdict.model_dump(mode="json"),
            )  # fmt: skip
            along = tuple(ends_along(app, release, fact, now=now))
            return _Effect((fact,), without_split(route), due=True, along=along)
        case _ if release.is_paused:
            return _Effect()  # the traffic stays as it is; only a rollback does not wait
        case Outcome.ADVANCE if release.phase is Phase.CANARY:
            group = members(app, release)
            if before_stage(group, advancing(group) | {release.id}):
                return _Effect()
            if (freeze := _in_freeze(app, group)) is not None:  # watched on with the share it has; said once
                return _Effect() if freeze == release.freeze else _Effect((freeze,))
            return _for_all(
                release,
                [_advance(app, one, _newest(one, release, verdict), now) for one in group],
                group,
                now,
            )
        case Outcome.ASK if release.phase is Phase.CANARY:
            group = members(app, release)
            if before_asking(group):
                return _Effect()
            said = headline(verdict)
            return _for_all(release, [_undecided(app, one, release, said) for one in group], group, now)
        case _:
            return _Effect()


def _in_freeze(app: App, group: Sequence[Release]) -> e.Frozen | None:
    """What keeps the releases from their next stage. After the last one people are asked, which is no traffic."""
    rising = [one for one in group if one.plan and (one.stage or 0) + 1 < len(one.plan.canary.stages)]
    return next((freeze for one in rising if (freeze := freeze_of(app, one)) is not None), None)


def _for_all(
    release: Release, effects: Sequence[_Effect], group: Sequence[Release], now: datetime
) -> _Effect:
    """The effect on the release that was looked at, with those on the others of its group."""
    pairs = list(zip(group, effects, strict=True))
    own = next(effect for one, effect in pairs if one.id == release.id)
    along = tuple(
        Append(
            release_id=one.id, facts=effect.facts, expected_seq=one.seq, route=effect.route,
            due_at=now if effect.due else None,
        )
        for one, effect in pairs if one.id != release.id
    )  # fmt: skip
    return replace(own, along=along)


def _newest(one: Release, release: Release, verdict: Verdict) -> Verdict:
    """The verdict on one of the group: that of the release that was just looked at, or what the ledger has."""
    if one.id == release.id or one.last_look is None:
        return verdict
    return Verdict.model_validate(one.last_look.verdict)


def _undecided(app: App, one: Release, release: Release, said: str) -> _Effect:
    reason = (
        said if one.id == release.id else f"goes together with {release.prompt}, which is undecided: {said}"
    )
    return _Effect((ask_for(app, one, "undecided", reason),), due=True)


def _advance(app: App, release: Release, verdict: Verdict, now: datetime) -> _Effect:
    route = app.routes.get(release.prompt)
    if release.plan is None or release.stage is None or release.stable is None or route is None:
        message = f"release {release.id} has traffic but no plan, stage or stable version"
        raise NotFound(message)
    following = release.stage + 1
    if following == len(release.plan.canary.stages):
        if release.plan.approval.required == 0:
            return _Effect((e.Approved(approvers=()),), due=True)
        return _Effect((ask_for(app, release, "promote", headline(verdict)),), due=True)
    if not has_traffic(route, release):
        raise Conflict(f"release {release.id} lost its traffic in this instant")
    fact, change = begin_stage(
        release, release.plan, route, following, stable=release.stable, salt=release.salt, now=now
    )
    return _Effect((fact,), change)
