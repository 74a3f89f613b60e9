"""The watcher's part of an experiment: look at every arm beside the control, drop the ones that are worse, renew the lease, end in time.

A look is taken whenever a few percent more requests are there than at the last one, by numbers of requests and never by what they say.
So a long experiment has some hundreds of looks, each kept with what it counted, and results can be read from the journal alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from promptship.canary import arms as k_arms
from promptship.canary.arms import ArmState
from promptship.canary.evidence import Health, StageCounts, Verdict
from promptship.lifecycle.app import App
from promptship.lifecycle.experiment_record import (
    BEGAN,
    LOOKED,
    ArmsExperiment,
    Status,
    keep,
    stopped,
    summary,
)
from promptship.lifecycle.experiments import ACTOR, end, match_route
from promptship.lifecycle.race import rereading
from promptship.numbers import duration
from promptship.release.plan import Canary
from promptship.render.redact import redact
from promptship.render.verdict import headline
from promptship.routing.split import BUCKETS

REQUESTS_MORE: Final = 20
GROWTH: Final = 0.02
"""A look is due after this many new requests, and this part of those before ..."""
EVERY_S: Final = 600.0
"""... or so long after the last one: late feedback comes without new requests."""


class Gate(Protocol):
    """The telemetry's quality gate for one arm of an experiment."""

    def __call__(self, watched: str, number: int, *, fresh: bool) -> Health:
        """The health as it was checked last, or, if `fresh`, as it is now."""
        ...


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look found."""

    counts: Mapping[str, StageCounts]
    """By arm; of the control in stable's role."""
    states: Mapping[str, ArmState]
    verdicts: Mapping[str, Verdict]
    problems: Mapping[str, Sequence[str]]
    ratio: float
    """Log e-value of units that fell wrongly on the arms."""

    @property
    def dropped(self) -> dict[str, str]:
        """Arms that are worse, and why."""
        return {name: headline(verdict) for name, verdict in self.verdicts.items() if k_arms.worse(verdict)}


@rereading
def tend(app: App, prompt: str, *, gate: Gate) -> ArmsExperiment | None:
    """Do what is due for the experiment that has a prompt's route: look, drop arms, end it, renew its lease. None: there is none.

    Raises:
        NotFound: the journal has no such experiment.
        Unavailable: ledger or telemetry did not answer; the lease was not renewed.
    """
    route = app.routes.get(prompt)
    if route is None or route.killed is not None or route.split is None or not route.split.arms:
        return None
    found = summary(app, route.split.release_id)
    if found.status is Status.WAITING:  # whoever began it died right after
        keep(app, found, BEGAN, {}, actor=ACTOR)
        found = summary(app, found.id)
    if found.status is Status.STOPPED:
        end(app, found, actor=ACTOR, reason=found.reason)
        return found
    now = app.clock.now()
    if found.lasts_s is not None and (now - (found.began_at or now)).total_seconds() >= found.lasts_s:
        end(app, found, actor=ACTOR, reason=f"its time is over ({duration(found.lasts_s)})")
        return summary(app, found.id)
    found = _look(app, found, now, gate)
    if len(found.live) == 1:
        end(app, found, actor=ACTOR, reason="every arm was worse than the control")
        return summary(app, found.id)
    if match_route(app, found, actor=ACTOR) is None:
        stopped(app, found.id, actor=ACTOR, reason="its arms no longer serve")
    else:
        until = now + timedelta(seconds=found.canary.lease)
        app.routes.renew(found.prompt, found.id, until=until)
    return found


def _look(app: App, found: ArmsExperiment, now: datetime, gate: Gate) -> ArmsExperiment:
    counts = {found.arms[number].name: _counts(app, found, number, now) for number in found.live}
    requests = sum(requests_of(one) for one in counts.values())
    last = found.looks[-1] if found.looks else None
    if not is_due(requests, now, last):
        return found
    look = _judged(app, found, counts, gate, fresh=False)
    if look.dropped:
        look = _judged(app, found, counts, gate, fresh=True)
    dropped = {**found.dropped, **{name: redact(why) for name, why in look.dropped.items()}}
    data = {
        "look": 1 + (int(last["look"]) if last else 0), "as_of": now.isoformat(), "requests": requests,
        "counts": {name: one.model_dump(mode="json", exclude_defaults=True) for name, one in look.counts.items()},
        "states": {name: one.model_dump(mode="json") for name, one in look.states.items()},
        "verdicts": {name: one.model_dump(mode="json", exclude_none=True) for name, one in look.verdicts.items()},
        "problems": {name: list(said) for name, said in look.problems.items() if said},
        "ratio": look.ratio, "dropped": dropped,
    }  # fmt: skip
    keep(app, found, LOOKED, data, actor=ACTOR)
    return summary(app, found.id)


def is_due(requests: int, now: datetime, last: Mapping[str, Any] | None) -> bool:
    """Whether there is enough that is new. Depends on numbers of requests and on time alone."""
    if last is None:
        return requests >= REQUESTS_MORE
    new = requests - int(last["requests"])
    late = (now - datetime.fromisoformat(last["as_of"])).total_seconds() >= EVERY_S
    return late or new >= max(REQUESTS_MORE, GROWTH * int(last["requests"]))


def requests_of(counts: StageCounts) -> int:
    """Of one arm, whatever its role."""
    return counts.requests.candidate.requests + counts.requests.stable.requests


def _counts(app: App, found: ArmsExperiment, number: int, now: datetime) -> StageCounts:
    late = {rail.metric: rail.matures_after for rail in found.canary.guardrails}
    matures = {metric: late.get(metric, 0.0) for metric in found.metrics}
    return app.measurements.counts(found.id, number, matures_after_s=matures, as_of=now)


def _judged(
    app: App, found: ArmsExperiment, counts: Mapping[str, StageCounts], gate: Gate, *, fresh: bool
) -> _Look:
    last = found.looks[-1] if found.looks else None
    number = 1 + (int(last["look"]) if last else 0)
    ratio = ratio_of(found, counts)
    control = gate(found.id, 0, fresh=fresh).problems
    problems, states, verdicts = {found.control.name: control}, {}, {}
    for at in found.live[1:]:
        name = found.arms[at].name
        plan = plan_of(found, at)
        state = _state(app, found, plan, last, name)
        own = gate(found.id, at, fresh=fresh).problems
        problems[name] = own
        health = Health(problems=tuple(dict.fromkeys([*control, *own])))
        pair = k_arms.paired(counts[name], counts[found.control.name])
        states[name], verdicts[name] = k_arms.look_at_arm(
            plan, found.metrics, number, state, pair, health, even=is_even(ratio)
        )
    return _Look(counts, states, verdicts, problems, ratio)


def plan_of(found: ArmsExperiment, number: int) -> Canary:
    """What the arm of that number is watched by."""
    own, control = found.fractions[number], found.fractions[0]
    return k_arms.guarding(found.canary, arms=len(found.arms) - 1, weight=own / (own + control))


def ratio_of(found: ArmsExperiment, counts: Mapping[str, StageCounts]) -> float:
    """Log e-value of units that fell wrongly on the arms that are left."""
    units = []
    for at in found.live:
        assigned = counts[found.arms[at].name].assigned if found.arms[at].name in counts else None
        units.append(0 if assigned is None else assigned.candidate.requests + assigned.stable.requests)
    return k_arms.log_e(units, [round(found.fractions[at] * BUCKETS) for at in found.live])


def is_even(ratio: float) -> bool:
    """Whether the units fell on the arms as they should, as far as anybody can tell."""
    return ratio < -math.log(k_arms.ALPHA_RATIO)


def _state(
    app: App, found: ArmsExperiment, plan: Canary, last: Mapping[str, Any] | None, name: str
) -> ArmState:
    if last is not None and name in last["states"]:
        return ArmState.model_validate(last["states"][name])
    baseline = app.measurements.baseline(
        found.control.version, list(found.metrics), as_of=found.began_at or found.opened_at,
        window_s=app.settings.telemetry.baseline_window,
    )  # fmt: skip
    return k_arms.fresh(plan, found.metrics, baseline)
