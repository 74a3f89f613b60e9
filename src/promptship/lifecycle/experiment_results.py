"""What an experiment with several arms has found, from its journal alone: every metric of every arm against the control."""

from __future__ import annotations

import math

from promptship.canary import arms as k_arms
from promptship.canary.arms import ArmState
from promptship.canary.evidence import StageCounts
from promptship.canary.experiment import ArmFound, ArmsFound, MetricEffect, arm_effects
from promptship.canary.interval import ALPHA
from promptship.canary.state import State
from promptship.errors import NotFound
from promptship.lifecycle import holdback
from promptship.lifecycle.app import App
from promptship.lifecycle.experiment_looks import ratio_of, requests_of
from promptship.lifecycle.experiment_record import ArmsExperiment
from promptship.release.events import Promoted


def results(found: ArmsExperiment, *, alpha: float = ALPHA) -> ArmsFound:
    """The effects as of the last look; intervals that are read at different times belong to one confidence sequence each."""
    counts = _last_counts(found)
    compared = found.arms[1:]
    each = alpha / (max(len(compared), 1) * max(len(found.metrics), 1))
    last = found.looks[-1] if found.looks else None
    known = [one for one in counts.values() if one.assigned is not None]
    said = (one for many in last["problems"].values() for one in many) if last else ()
    return ArmsFound(
        id=found.id, prompt=found.prompt, status=found.status.value, reason=found.reason, share=found.share,
        began_at=found.began_at, risk=found.risk, approvers=found.approvers, required=found.required, looks=len(found.looks),
        arms=tuple(_arm(found, number, counts) for number in range(len(found.arms))),
        effects=tuple(effect for arm in compared for effect in _effects(found, arm.name, each)),
        alpha=alpha, alpha_each=each,
        ratio_e_value=math.exp(min(ratio_of(found, counts), 690.0)) if known else None,
        ratio_threshold=1 / k_arms.ALPHA_RATIO, problems=tuple(dict.fromkeys(said)),
    )  # fmt: skip


def _last_counts(found: ArmsExperiment) -> dict[str, StageCounts]:
    """Of every arm, as of the last look that had it."""
    counts: dict[str, StageCounts] = {}
    for look in found.looks:
        counts |= {name: StageCounts.model_validate(one) for name, one in look["counts"].items()}
    return counts


def _arm(found: ArmsExperiment, number: int, counts: dict[str, StageCounts]) -> ArmFound:
    arm = found.arms[number]
    mine = counts.get(arm.name, StageCounts())
    units = None
    if mine.assigned is not None:
        units = mine.assigned.candidate.requests + mine.assigned.stable.requests
    return ArmFound(
        name=arm.name, version=arm.version, commit=arm.commit, part=found.fractions[number], is_control=number == 0,
        requests=requests_of(mine), units=units, dropped=found.dropped.get(arm.name, ""),
    )  # fmt: skip


def _effects(found: ArmsExperiment, arm: str, alpha: float) -> tuple[MetricEffect, ...]:
    """From the looks that had the arm and whose telemetry could be trusted, with what the arm's watches have learned by the last."""
    control = found.control.name
    looks = [look for look in found.looks if arm in look["states"]]
    if not looks:
        return ()
    sound = [look for look in looks if not look["problems"].get(arm) and not look["problems"].get(control)]
    pairs = [
        k_arms.paired(*(StageCounts.model_validate(look["counts"][name]) for name in (arm, control)))
        for look in sound
    ]
    watches = ArmState.model_validate(looks[-1]["states"][arm]).watches
    order = {metric: number for number, metric in enumerate(found.metrics)}
    effects = arm_effects(arm, watches, pairs, alpha=alpha)
    return tuple(sorted(effects, key=lambda one: order.get(one.metric, len(order))))


def holdback_results(app: App, release_id: str, *, alpha: float = ALPHA) -> ArmsFound:
    """What was promoted against the version before, from the looks at the release's holdback.

    Raises:
        NotFound: no such release, or it has had no holdback.
    """
    standing = holdback.read(app, release_id)
    release, canary = standing.release, standing.canary
    if not canary.holdback or release.ended_at is None or release.stable is None:
        raise NotFound(
            f"release {release_id} has had no holdback: its plan's `canary.holdback` is {canary.holdback:g}"
        )
    if not any(isinstance(kept.fact, Promoted) for kept in app.ledger.events(release_id, looks=False)):
        raise NotFound(f"release {release_id} was never promoted, so it has had no holdback")
    entries = app.journal.entries(f"{holdback.TOPIC}{release_id}")
    looks = [entry.data for entry in entries if entry.kind == holdback.LOOKED]
    over = [str(entry.data["reason"]) for entry in entries if entry.kind == holdback.ENDED]
    counts = [StageCounts.model_validate(look["counts"]) for look in looks if not look["problems"]]
    last = counts[-1] if counts else StageCounts()
    metrics = [rail.metric for rail in canary.guardrails]
    each = alpha / len(metrics)
    state = State.model_validate(looks[-1]["state"]) if counts else None
    now, before = last.requests.candidate.requests, last.requests.stable.requests
    assigned = last.assigned
    units = (None, None) if assigned is None else (assigned.candidate.requests, assigned.stable.requests)
    arms = (
        ArmFound(name="before", version=release.stable, commit="", part=canary.holdback, is_control=True, requests=before, units=units[1]),
        ArmFound(name="promoted", version=release.version or "", commit=release.commit, part=1 - canary.holdback, is_control=False, requests=now, units=units[0]),
    )  # fmt: skip
    ratio = None
    if assigned is not None:
        fell = k_arms.log_e(
            [assigned.candidate.requests, assigned.stable.requests], [1 - canary.holdback, canary.holdback]
        )
        ratio = math.exp(min(fell, 690.0))
    return ArmsFound(
        id=release_id, prompt=release.prompt, status="ended" if over else "holdback", reason=over[0] if over else "",
        share=1.0, began_at=None if over else release.moved_at, risk=release.risk, approvers=release.approvers, required=0, looks=len(looks),
        arms=arms, effects=() if state is None else arm_effects("promoted", state.watches, counts, alpha=each),
        alpha=alpha, alpha_each=each, ratio_e_value=ratio,
        ratio_threshold=1 / k_arms.ALPHA_RATIO, problems=tuple(looks[-1]["problems"]) if looks else (),
    )  # fmt: skip
