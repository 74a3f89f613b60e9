"""The command line against a provider that changes: a model is added, a shutdown announced, and a re-test killed with -9."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from promptship.chat import ChatAnswer, ChatRequest
from promptship.lifecycle.adopting import adopt
from promptship.lifecycle.models_seen import watch
from promptship.settings_file import load_settings
from promptship.wiring import build
from tests.support.model_world import CASES, SUITE, Provider
from tests.support.repositories import ENVIRONMENT, GitMaker, git
from tests.support.standin import stand_in

pytestmark = pytest.mark.system

SETTINGS = """
[providers.sim]
base_url = "{url}/v1"
concurrency_max = 1
[models.sim-1]
[models.sim-2]
[retest]
trials = 2
probes = false
[watcher]
run_lease = "3s"
[plans.default.regression]
margin = 0.3
"""
PROMPT = "name: support\nowner: a@b.example\nmodel: sim-1  # chosen in May\nmessages: [{role: system, content: Be kind.}]\n"


@dataclass
class Till(Provider):
    """Counts what is asked, and can kill who asks."""

    questions: Counter[tuple[str, str]] = field(default_factory=Counter)
    victim: "subprocess.Popen[str] | None" = None
    kill_at: int = 0

    def complete(self, request: ChatRequest) -> ChatAnswer | Exception:
        self.questions[request.model, json.dumps(request.messages)] += 1
        if self.victim is not None and self.questions.total() == self.kill_at:
            os.kill(self.victim.pid, signal.SIGKILL)
        return super().complete(request)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Path, Till]]:
    till = Till()
    with stand_in(till.answer) as standing:
        maker = GitMaker(tmp_path / "prompts", bare=False)
        files = {
            "promptship.toml": SETTINGS.format(url=standing.url), "prompts/support.yaml": PROMPT,
            "suites/support.yaml": SUITE,
        }  # fmt: skip
        maker.commit({path: text.encode() for path, text in files.items()})
        git(maker.path, "reset", "--quiet", "--hard")
        yield maker.path, till


def start(place: Path, *words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "promptship.cli", *words]
    return subprocess.Popen(
        command, cwd=place, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(place: Path, *words: str) -> tuple[int, str]:
    process = start(place, *words)
    out, err = process.communicate(timeout=100)
    assert "Traceback" not in err, err
    return process.returncode, out


def test_what_is_noticed_and_a_re_test_that_is_killed(place: tuple[Path, Till]) -> None:
    path, till = place
    in_production(path)
    on = (datetime.now(UTC).date() + timedelta(days=20)).isoformat()
    till.models = {"sim-1": on, "sim-2": None}
    till.fails["sim-1"] = set(range(8))
    status, said = run(path, "models", "check")
    assert status == 1
    assert "appeared: sim has sim-2" in said
    assert f"retires on {on}: sim-1, used by support" in said

    till.victim = start(path, "retest", "support", "--model", "sim-2", "--propose")
    till.kill_at = CASES
    till.victim.communicate(timeout=100)
    assert till.victim.returncode == -signal.SIGKILL
    till.victim = None
    assert CASES <= till.questions.total() < 4 * CASES

    status, said = run(path, "retest", "support", "--model", "sim-2", "--propose")
    assert status == 0
    assert "better" in said
    assert "33.3% -> 100%" in said
    assert till.questions.total() <= 4 * CASES + 2, "only what was under way may be asked twice"
    branch = next(word for word in said.split() if word.startswith("promptship/support-sim-2"))
    assert git(path, "diff", "--numstat", "main", branch) == "1\t1\tprompts/support.yaml"
    assert "+model: sim-2  # chosen in May" in git(path, "diff", "main", branch)
    assert git(path, "status", "--porcelain", "--untracked-files=no") == ""

    asked = till.questions.total()
    (mine,) = {line.split()[1] for line in said.splitlines() if line.startswith("re-test ")}
    assert run(path, "retest", "show", mine) == (0, said)
    assert run(path, "retest", "support", "--model", "sim-2", "--propose") == (0, said)
    assert till.questions.total() == asked, "the same change and version: nothing is asked"
    listed = json.loads(run(path, "retest", "show", "--json")[1])
    assert sorted(one["change"]["kind"] for one in listed) == ["appeared", "asked", "retires"]


def in_production(path: Path) -> None:
    """Adopted, and the provider's list seen once."""
    app = build(load_settings(path))
    adopt(app, [], ref="main", actor="person:test")
    assert asyncio.run(watch(app)).notices == ()
    app.close()
