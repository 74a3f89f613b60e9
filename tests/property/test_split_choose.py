"""The gateway's decision: the candidate exactly when a live lease, a named unit and its bucket say so."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from promptship.gateway.choose import Choice, choose
from promptship.gateway.rejection import Rejection
from promptship.routing.split import takes_candidate
from promptship.routing.table import Route, Split

STABLE, CANDIDATE = "a" * 64, "b" * 64
splits = st.none() | st.builds(
    Split,
    release_id=st.just("r-1"),
    candidate=st.just(CANDIDATE),
    stage=st.integers(0, 3),
    share=st.floats(0, 1),
    salt=st.text(max_size=5),
)
routes = st.builds(
    Route, prompt=st.just("p"), revision=st.just(1), stable=st.sampled_from([STABLE, None]), split=splits
)
units = st.text(max_size=5)


@given(st.none() | routes, units, st.booleans())
def test_the_candidate_serves_exactly_then(route: Route | None, unit: str, leased: bool) -> None:
    choice = choose(route, prompt="p", pin="", unit=unit, leased=leased)
    if route is None or route.stable is None:
        assert isinstance(choice, Rejection)
        assert choice.status == 404
        return
    assert isinstance(choice, Choice)
    split = route.split
    inside = split is not None and leased and unit != ""
    candidate = inside and split is not None and takes_candidate(split.salt, unit, split.share)
    assert (choice.arm == "candidate") == (choice.version == CANDIDATE) == candidate
    assert (choice.release is not None) == (choice.stage is not None) == (choice.unit is not None) == inside
    assert choice.other == (({STABLE, CANDIDATE} - {choice.version}).pop() if inside else None)


@given(routes, st.sampled_from([STABLE, CANDIDATE, "c" * 64]), st.integers(6, 64), units, st.booleans())
def test_a_pin_gets_its_version_or_nothing(
    route: Route, wanted: str, length: int, unit: str, leased: bool
) -> None:
    choice = choose(route, prompt="p", pin=wanted[:length], unit=unit, leased=leased)
    served = {route.stable, route.split.candidate if route.split else None}
    if route.stable is not None and wanted in served:
        assert isinstance(choice, Choice)
        assert (choice.version, choice.release) == (wanted, None)
    else:
        assert isinstance(choice, Rejection)
