"""kill -9 of everything at random points of six releases, on one machine; `make chaos` is the long form, on a fleet."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.support.chaos.driver import Chaos
from tests.support.chaos.promises import broken
from tests.support.chaos.stacks import up_house
from tests.support.chaos.story import short_script
from tests.support.chaos.tables import summary

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(560), pytest.mark.xdist_group("up")]

if "PROMPTSHIP_CHAOS_SEED" not in os.environ:
    pytest.skip(
        "takes minutes on a busy machine: set PROMPTSHIP_CHAOS_SEED to a number", allow_module_level=True
    )


def test_every_release_ends_right_whatever_is_killed(tmp_path: Path) -> None:
    seed = int(os.environ["PROMPTSHIP_CHAOS_SEED"])
    chance = random.Random(seed)
    script = short_script(chance)
    with up_house(tmp_path, sorted(script)) as house:
        house.open_shop(sorted(script), rate=40, seed=seed)
        chaos = Chaos(house, script, chance, pauses_s=(0.5, 2.0), deadline_s=300)
        chaos.run()
        house.customers_leave()
        problems = broken(chaos)
        table = summary(chaos, seed)
    print(table)  # noqa: T201 - what a run of chaos is for
    assert not problems, f"\n{table}\nagain: PROMPTSHIP_CHAOS_SEED={seed} pytest {__file__}\n" + "\n".join(
        problems
    )
