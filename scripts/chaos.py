"""The long chaos test, on a fleet: 30 releases while everything is killed, PostgreSQL and Redis too; `make chaos`.

    python -m scripts.chaos --seed 7

Needs redis-server and PostgreSQL's binaries. Exit status 1 when a promise was broken; the workspace is kept then.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.support.chaos.driver import Chaos
from tests.support.chaos.promises import broken
from tests.support.chaos.stacks import fleet_house
from tests.support.chaos.story import long_script
from tests.support.chaos.tables import summary


def main() -> int:
    """Run, print the table, say what was broken and how to run it again."""
    parser = argparse.ArgumentParser(description="Kill everything while 30 releases run.")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--releases", type=int, default=30)
    parser.add_argument("--prompts", type=int, default=6, help="side by side")
    parser.add_argument("--rounds", type=int, default=4, help="how often each kind of thing is killed")
    parser.add_argument("--deadline", type=float, default=720, help="seconds for all releases")
    asked = parser.parse_args()
    print(f"seed {asked.seed}: {asked.releases} releases of {asked.prompts} prompts", flush=True)
    chance = random.Random(asked.seed)
    script = long_script(chance, releases=asked.releases, prompts=asked.prompts)
    place = Path(tempfile.mkdtemp(prefix="promptship-chaos-"))
    began = time.monotonic()
    with fleet_house(place, sorted(script)) as house:
        house.open_shop(sorted(script), rate=50, seed=asked.seed)
        chaos = Chaos(
            house, script, chance, pauses_s=(2.0, 8.0), rounds=asked.rounds, deadline_s=asked.deadline
        )
        chaos.run()
        house.customers_leave()
        problems = broken(chaos)
        print(
            "\n".join([summary(chaos, asked.seed), *(["", "broken:", *problems] if problems else [])]),
            flush=True,
        )
    print(f"{time.monotonic() - began:.0f} s")
    if not problems:
        shutil.rmtree(place, ignore_errors=True)
        return 0
    print("\n".join(["", f"again: make chaos ARGS='--seed {asked.seed}'   kept: {place}"]))
    return 1


if __name__ == "__main__":
    sys.exit(main())
