"""Which answers are scored: by chance alone, by the share of the arm, the same in every process."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from promptship.release.online import Check
from promptship.routing.sampling import SALT, Drawn, Sampling, drawn
from promptship.routing.split import BUCKETS, bucket

shares = st.floats(0.0001, 1)
names = st.from_regex(r"[a-z][a-z0-9_]{0,10}", fullmatch=True)
checks = st.lists(
    st.builds(Drawn, name=names, candidate=shares, stable=shares),
    max_size=5,
    unique_by=lambda check: check.name,
)
requests = st.uuids(version=4).map(str)
arms = st.sampled_from(["stable", "candidate"])


@given(checks, requests, arms)
def test_a_check_looks_at_a_request_exactly_when_its_place_is_below_the_arms_share(
    found: list[Drawn], request: str, arm: str
) -> None:
    sampling = Sampling(release="r", checks=tuple(found))
    seen = drawn(sampling, request, arm)  # type: ignore[arg-type]
    place = bucket(SALT, request)
    for check in found:
        share = check.stable if arm == "stable" else check.candidate
        assert (check in seen) == (place < round(share * BUCKETS))


@given(requests, shares, shares)
def test_a_larger_share_looks_at_everything_a_smaller_one_does(
    request: str, one: float, other: float
) -> None:
    small, large = sorted([one, other])
    sampling = Sampling(
        release="r",
        checks=(Drawn(name="s", candidate=small, stable=1), Drawn(name="l", candidate=large, stable=1)),
    )
    seen = {check.name for check in drawn(sampling, request, "candidate")}
    assert seen in (set(), {"l"}, {"s", "l"})


def test_the_draw_is_the_same_in_every_process_and_language() -> None:
    places = [bucket(SALT, f"01a2053b-c9bd-70fd-a45d-c93c3f7bd9{number:02d}") for number in range(6)]
    assert places == [4363, 7340, 5340, 5630, 5346, 8270]


@given(shares, shares, st.floats(0, 1))
def test_the_scored_share_is_the_candidates_part_of_what_is_drawn(
    candidate: float, stable: float, share: float
) -> None:
    check = Check.model_validate(
        {"name": "n", "assert": {"type": "x"}, "candidate": candidate, "stable": stable}
    )
    found = check.scored_share(share)
    assert 0 <= found <= 1
    # Of a request of the candidate there are `share`, of which `candidate` are scored.
    assert abs(found * (share * candidate + (1 - share) * stable) - share * candidate) < 1e-9
