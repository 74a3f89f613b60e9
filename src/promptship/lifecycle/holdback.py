"""After a promotion some units keep the version before for a while, so that what shows up slowly is seen, and undone.

The route says who: units beyond the split's share, in the order of the canary's own hash, so nobody who had the candidate goes back.
They are one more stage of the release, judged by its guardrails against everybody else. Looks are kept in the journal: the release
is over, and its phase stays PROMOTED unless the watcher rolls it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from promptship.canary import arms as k_arms
from promptship.canary.evidence import Outcome, Verdict
from promptship.canary.look import take_look
from promptship.canary.state import State
from promptship.errors import NotFound
from promptship.lifecycle.app import App
from promptship.lifecycle.ending import roll_back_promotion
from promptship.lifecycle.experiment_looks import is_due, requests_of
from promptship.lifecycle.experiment_record import take_back
from promptship.lifecycle.freezes import freeze_of
from promptship.lifecycle.look import Gate
from promptship.lifecycle.promotion import stage_of
from promptship.lifecycle.race import rereading
from promptship.numbers import duration
from promptship.release.history import Release
from promptship.release.phase import Phase
from promptship.release.plan import Canary
from promptship.render.verdict import headline
from promptship.routing.table import Route

ACTOR: Final = "watcher"
TOPIC: Final = "holdback:"
LOOKED, ENDED = "looked", "ended"
_SETTLED_AT_ONCE: Final = 20


def plan_of(canary: Canary) -> Canary:
    """What a holdback is watched by: the guardrails at their own alpha, none of which needs proof."""
    return k_arms.guarding(canary, arms=1, weight=1 - canary.holdback)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A holdback, read from journal and ledger."""

    release: Release
    canary: Canary
    seq: int
    last: Mapping[str, Any] | None
    """Data of the last look."""

    @property
    def ends_at(self) -> datetime:
        """When it ends by itself."""
        return self.release.moved_at + timedelta(seconds=self.canary.holdback_for)


def read(app: App, release_id: str) -> Standing:
    """The holdback of a release. Raises NotFound: no such release, or one without a plan."""
    release = app.release(release_id)
    if release.plan is None:
        raise NotFound(f"release {release_id} has no plan, and so no holdback")
    topic = f"{TOPIC}{release_id}"
    newest = app.journal.entries(topic, limit=1)
    looks = app.journal.entries(topic, kind=LOOKED, limit=1)
    return Standing(
        release=release, canary=release.plan.canary, seq=newest[0].seq if newest else -1,
        last=looks[0].data if looks else None,
    )  # fmt: skip


@rereading
def tend(app: App, prompt: str, *, gate: Gate) -> Verdict | None:
    """Do what is due for the holdback of a prompt: end it, look, roll the promotion back, renew its lease. None: no look was due.

    Raises:
        NotFound: the ledger has no such release.
        Unavailable: ledger or telemetry did not answer; the lease was not renewed.
    """
    route = app.routes.get(prompt)
    if route is None or route.killed is not None or route.split is None or route.split.held is None:
        return None
    standing = read(app, route.split.release_id)
    now = app.clock.now()
    if standing.release.phase is not Phase.PROMOTED:
        _over(app, route, standing, f"the release is {standing.release.phase}")
        return None
    if now >= standing.ends_at and freeze_of(app, standing.release) is None:
        _over(app, route, standing, f"its time is over ({duration(standing.canary.holdback_for)})")
        return None
    verdict = _decided(standing) or _look(app, route, standing, now, gate)
    if verdict is not None and verdict.outcome is Outcome.ROLL_BACK:
        roll_back_promotion(
            app, standing.release, route, actor=ACTOR, reason=f"against the holdback: {headline(verdict)}", verdict=verdict
        )  # fmt: skip
        return verdict
    until = now + timedelta(seconds=standing.canary.lease)
    app.routes.renew(route.prompt, standing.release.id, until=until)
    return verdict


def _decided(standing: Standing) -> Verdict | None:
    """The verdict of the last look if it rolls back: whoever took it died before doing so."""
    if standing.last is None:
        return None
    verdict = Verdict.model_validate(standing.last["verdict"])
    return verdict if verdict.outcome is Outcome.ROLL_BACK else None


def _look(app: App, route: Route, standing: Standing, now: datetime, gate: Gate) -> Verdict | None:
    plan, last = plan_of(standing.canary), standing.last
    matures = {rail.metric: rail.matures_after for rail in plan.guardrails}
    counts = app.measurements.counts(
        standing.release.id, stage_of(standing.canary), matures_after_s=matures, as_of=now
    )
    requests = requests_of(counts)
    if not is_due(requests, now, last):
        return None
    number = 1 + (int(last["look"]) if last else 0)
    state = State.model_validate(last["state"]) if last else _fresh(app, route, standing, plan)
    health = gate(fresh=False)
    after, verdict = take_look(plan, 0, number, state, counts, health, elapsed_s=0.0)
    if verdict.outcome is Outcome.ROLL_BACK:
        health = gate(fresh=True)
        after, verdict = take_look(plan, 0, number, state, counts, health, elapsed_s=0.0)
    data = {
        "look": number, "as_of": now.isoformat(), "requests": requests, "state": after.model_dump(mode="json"),
        "verdict": verdict.model_dump(mode="json", exclude_none=True), "problems": list(health.problems),
        "counts": counts.model_dump(mode="json", exclude_defaults=True),
    }  # fmt: skip
    _keep(app, standing, LOOKED, data)
    return verdict


def _fresh(app: App, route: Route, standing: Standing, plan: Canary) -> State:
    metrics = [rail.metric for rail in plan.guardrails]
    held = route.split.held if route.split is not None else None
    baseline = app.measurements.baseline(
        held or "", metrics, as_of=standing.release.moved_at, window_s=app.settings.telemetry.baseline_window
    )
    return State.fresh(plan, baseline)


def _over(app: App, route: Route, standing: Standing, reason: str) -> None:
    take_back(app, route.prompt, actor=ACTOR, reason=reason)
    _keep(app, standing, ENDED, {"reason": reason})


def _keep(app: App, standing: Standing, kind: str, data: Mapping[str, Any]) -> None:
    app.journal.keep(
        f"{TOPIC}{standing.release.id}", kind, data, actor=ACTOR, at=app.clock.now(), expected_seq=standing.seq
    )  # fmt: skip


def settle(app: App) -> None:
    """Write down the end of holdbacks that something else ended: a newer release, a rollback, the kill switch, a person."""
    for topic in app.journal.topics(TOPIC, limit=_SETTLED_AT_ONCE):
        (newest,) = app.journal.entries(topic, limit=1)
        if newest.kind == ENDED:
            continue
        standing = read(app, topic.removeprefix(TOPIC))
        route = app.routes.get(standing.release.prompt)
        split = route.split if route is not None else None
        if split is None or split.held is None or split.release_id != standing.release.id:
            history = app.routes.history(standing.release.prompt)
            _keep(app, standing, ENDED, {"reason": f"something else has the traffic: {history[0].reason}"})
