"""Traffic for a house whose prompt has an experiment or a holdback: the product's own choice, bad answers by version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from promptship.prompts.digest import digest
from promptship.prompts.load import load
from promptship.routing.choice import Choice, choose
from promptship.routing.observation import Feedback, Observation
from tests.support.house import PATH, PROMPT, House


def version_of(text: str) -> str:
    """Digest of the support prompt with this text."""
    return digest(load(PATH, PROMPT.format(text=text).encode()).prompt)


def serve(
    house: House, requests: int, bad: Mapping[str, float], *, seconds: float = 20.0, units: int = 0
) -> Counter[str]:
    """Requests over some seconds; `bad`: version -> part of its answers that are escalated. Returns how often each variant served."""
    served: Counter[str] = Counter()
    by_version: Counter[str] = Counter()
    for _ in range(requests):
        house.requests += 1
        house.clock.advance(seconds / requests)
        route = house.routes.table().routes["support"]
        number = house.requests % units if units else house.requests
        leased = route.split is not None and route.split.lease_s > 0
        choice = choose(route, prompt="support", pin="", unit=f"user-{number}", leased=leased)
        assert isinstance(choice, Choice)
        served[choice.variant or str(choice.decision) or "stable"] += 1
        by_version[choice.version] += 1
        seen, rate = by_version[choice.version], bad.get(choice.version, 0.0)
        _write(house, choice, escalated=int(seen * rate) > int((seen - 1) * rate))
    return served


def _write(house: House, choice: Choice, *, escalated: bool) -> None:
    at_ms = int(house.clock.now().timestamp() * 1000)
    request = f"request-{house.requests}"
    house.measurements.write(
        Observation(
            id=request, at_ms=at_ms, prompt="support", version=choice.version, arm=choice.arm, release=choice.release,
            stage=choice.stage, unit=choice.unit, latency_ms=40.0, status=200, error=False, refusal=False,
            decision=choice.decision.value,
        )
    )  # fmt: skip
    if escalated:
        house.measurements.write(
            Feedback(
                id=f"feedback-{house.requests}", at_ms=at_ms, request=request, request_at_ms=at_ms, prompt="support",
                version=choice.version, arm=choice.arm, release=choice.release, stage=choice.stage, unit=choice.unit,
                kind="escalated", value=True,
            )
        )  # fmt: skip
