"""What has ended is not said to go on: an arm whose commit was released already, a holdback of what was never promoted."""

from __future__ import annotations

import pytest

from promptship.errors import NotFound, Refused
from promptship.lifecycle import experiments
from promptship.lifecycle.ending import roll_back_prompt
from promptship.lifecycle.experiment_arms import Asked
from promptship.lifecycle.experiment_record import Status, find
from promptship.lifecycle.experiment_results import holdback_results
from tests.support.house import STAGES, House

SHORT = "Say hello shortly."


def rolled_back() -> tuple[House, str]:
    house = House(plan=STAGES.replace('lease = "30s"', 'lease = "30s"\nholdback = 0.3'))
    house.adopt()
    release = house.push(SHORT)
    house.run_flow(release)
    roll_back_prompt(house.app, "support", actor="person:mira", reason="not this one")
    assert house.release(release).phase == "rolled_back"
    return house, release


def test_an_arm_whose_release_has_ended_is_refused_and_the_experiment_goes_on() -> None:
    house, release = rolled_back()
    commit = house.release(release).commit
    begun = experiments.start(
        house.app, "support", Asked((f"short={commit}",)), share=1.0, lasts_s=None, metrics=(), actor="person:mira"
    )  # fmt: skip
    with pytest.raises(Refused, match=f"as {release}: rolled back .*commit the version anew"):
        experiments.promote(house.app, begun.id, "short", actor="person:mira")
    assert find(house.app, begun.id).status is Status.RUNNING


def test_a_release_that_was_never_promoted_has_no_holdback() -> None:
    house, release = rolled_back()
    with pytest.raises(NotFound, match="never promoted"):
        holdback_results(house.app, release)
