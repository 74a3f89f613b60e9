"""Code of released commits that online checks import goes when no scorer has used it for long; what is in use stays."""

import os
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from promptship.tasks.tidy import outdated_code
from tests.support.ledger_stores import HandClock
from tests.support.telemetry import at


def checkout(directory: Path, age_s: float) -> Path:
    file = directory / "suites" / "check.py"
    file.parent.mkdir(parents=True)
    file.write_text("x = 1")
    for path in (file, file.parent, directory):
        os.utime(path, (at(-age_s).timestamp(), at(-age_s).timestamp()))
    return directory


def test_code_that_nobody_used_since_then_goes_whole(tmp_path: Path) -> None:
    day = 86_400.0
    app: Any = SimpleNamespace(
        settings=SimpleNamespace(data=tmp_path, telemetry=SimpleNamespace(keep_evaluations=day)),
        clock=HandClock(at(0)),
    )
    assert outdated_code(app) == [], "nothing was ever scored here"
    old, used, new = (
        checkout(tmp_path / "online" / name, age) for name, age in (("a", day + 1), ("b", 2 * day), ("c", 60))
    )
    checkout(tmp_path / "online" / ".cut.gone", 2 * day)
    os.utime(used, (at(-60).timestamp(), at(-60).timestamp()))  # as a scorer does
    assert outdated_code(app) == [old.name]
    assert sorted(path.name for path in (tmp_path / "online").iterdir()) == [used.name, new.name]
    assert (used / "suites" / "check.py").exists()
    app.clock.turn(seconds=(2 * timedelta(seconds=day)).total_seconds())
    assert outdated_code(app) == ["b", "c"]
