"""What `promptship eval` loads before its first request, and what it does not."""

from __future__ import annotations

import json
import subprocess
import sys

from promptship.evals.assertions import REGISTRY
from promptship.evals.assertions.attacked import REDTEAM as ATTACKED
from promptship.evals.assertions.catalogue import REDTEAM
from promptship.evals.assertions.judged import JUDGED
from promptship.evals.assertions.registry import _LATE

_LATER = (
    "aiohttp",
    "numpy",
    "pygments",
    "rich",
    "scipy",
    "prefect",
    "sqlalchemy",
    "duckdb",
    "great_expectations",
)


def test_nothing_heavy_is_loaded_before_the_first_request() -> None:
    code = (
        "import json, sys, promptship.cli, promptship.cli.eval_ready, promptship.cli.eval_suites;"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert loaded & {*_LATER, "httpx._client"} == {"httpx._client"}
    assert not {f"promptship.evals.assertions.{name}" for name in ("attacked", "judged")} & loaded


def test_makers_that_are_loaded_late_are_there() -> None:
    assert set(_LATE) == {*JUDGED, *ATTACKED}
    assert set(ATTACKED) == REDTEAM
    assert set(_LATE) <= set(REGISTRY)
