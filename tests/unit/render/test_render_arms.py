"""What experiments and holdbacks show, read from their journals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from promptship.canary.experiment import ArmsFound
from promptship.errors import NotFound
from promptship.lifecycle import experiments
from promptship.lifecycle.experiment_arms import Asked
from promptship.lifecycle.experiment_record import find, listed
from promptship.lifecycle.experiment_results import holdback_results, results
from promptship.render.arms import arms_chart, arms_markdown, arms_text, experiments_table
from tests.support.arms_traffic import serve, version_of
from tests.support.house import STAGES, House

SHORT, WARM = "Say hello shortly.", "Say hello warmly."


@pytest.fixture(scope="module")
def house() -> House:
    """An experiment whose third arm was dropped."""
    house = House()
    house.adopt()
    arms = (f"short={house.commit(SHORT)}", f"warm={house.commit(WARM)}")
    experiments.start(
        house.app,
        "support",
        Asked(arms),
        share=1.0,
        lasts_s=None,
        metrics=("refusal_rate",),
        actor="person:mira",
    )
    for _ in range(6):
        serve(house, 200, {version_of("Say hello."): 0.1, version_of(SHORT): 0.1, version_of(WARM): 0.6})
        house.look()
    return house


def found(house: House) -> ArmsFound:
    return results(find(house.app, "support"))


def test_every_arm_and_metric_is_compared_with_the_control(house: House) -> None:
    told = found(house)
    assert [(one.name, one.is_control, bool(one.dropped)) for one in told.arms] == [
        ("control", True, False), ("short", False, False), ("warm", False, True),
    ]  # fmt: skip
    assert [(one.arm, one.metric) for one in told.effects] == [
        (arm, metric) for arm in ("short", "warm") for metric in ("feedback:escalated", "refusal_rate")
    ]
    assert told.alpha_each == pytest.approx(0.05 / 4)
    warm = told.effects[2].effect
    assert warm is not None
    assert warm.absolute.low is not None
    assert warm.absolute.low > 0  # worse, and the interval says so
    short = told.effects[0].effect
    assert short is not None
    assert (short.absolute.low or -1) < 0 < (short.absolute.high or 1)
    assert told.ratio_e_value is not None
    assert told.ratio_e_value < told.ratio_threshold
    assert told.arms[2].requests == warm.requests[0]


def test_text_markdown_and_picture_name_arms_control_and_certainty(house: House) -> None:
    told = found(house)
    text = arms_text(told)
    assert text.splitlines()[0].startswith(f"{told.id} of support (running), 100% of the units")
    for word in (
        "short",
        "warm",
        "control",
        "dropped: feedback:escalated",
        "hold together with 95% certainty",
        "worse",
    ):
        assert word in text
    assert "Units fell on the arms as their parts say" in text
    assert "| arm | metric | control |" in arms_markdown(told)
    picture = arms_chart(told)
    assert picture.startswith("<svg")
    assert "warm: feedback:escalated" in picture
    assert "support: arms against control" in picture


def test_what_stands_in_the_way_is_said(house: House) -> None:
    told = found(house)
    wrong = arms_text(replace(told, ratio_e_value=5000.0, problems=("a gateway's clock is wrong",)))
    assert "NOT as their parts say" in wrong
    assert "cannot be trusted: a gateway's clock is wrong" in wrong
    empty = replace(told, looks=0, effects=(), ratio_e_value=None)
    assert "No look has been taken" in arms_text(empty)
    assert "1 of 2 approvers have agreed" in arms_text(
        replace(empty, status="waiting", approvers=("mira",), required=2)
    )


def test_the_list_has_a_row_each(house: House) -> None:
    (one,) = listed(house.app)
    rows = [(one.id, one.prompt, one.status.value, "arms", one.opened_at, one.reason)]
    assert one.id in experiments_table(rows)
    assert "no experiment yet" in experiments_table([])


def test_a_holdback_is_read_the_same_way() -> None:
    house = House(plan=STAGES.replace('lease = "30s"', 'lease = "30s"\nholdback = 0.3'))
    house.adopt()
    release = house.push(SHORT)
    with pytest.raises(NotFound):
        holdback_results(house.app, release)
    house.run_flow(release)
    fine = {version_of("Say hello."): 0.1, version_of(SHORT): 0.02}
    for _ in range(40):
        if house.release(release).phase == "awaiting_approval":
            break
        serve(house, 200, fine)
        house.look()
    house.promote(release)
    assert "No look has been taken" in arms_text(holdback_results(house.app, release))
    serve(house, 120, fine)
    house.look()
    told = holdback_results(house.app, release)
    assert [(one.name, one.part) for one in told.arms] == [("before", 0.3), ("promoted", 0.7)]
    assert [one.metric for one in told.effects] == ["feedback:escalated"]
    assert sum(one.requests for one in told.arms) == 120
    assert "before" in arms_text(told)
