"""Random lives of a release."""

from hypothesis import strategies as st

from promptship.release import events as e
from promptship.release.phase import NEXT, Phase
from tests.support.facts import FACTS


@st.composite
def lives(draw: st.DrawFn) -> list[e.Fact]:
    """Facts after the request, in an order the lifecycle allows; every kind can occur."""
    phase, life = Phase.REQUESTED, []
    for _ in range(draw(st.integers(0, 12))):
        allowed = sorted(
            kind
            for kind, to in e.PHASE_AFTER.items()
            if kind != "requested" and (to is None or to in NEXT[phase])
        )
        fact = FACTS[draw(st.sampled_from(allowed))]()
        life.append(fact)
        phase = e.PHASE_AFTER[fact.kind] or phase
    return life
