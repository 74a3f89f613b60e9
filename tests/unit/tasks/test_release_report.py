"""What Prefect's pages show of a suite: the changed cases with their reasons, without secrets, as far as the rows are here."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from promptship.adapters.memory.models import ScriptedModels
from promptship.chat import ChatRequest
from promptship.evals.reports.markdown import to_markdown
from promptship.evals.verdict import SuiteVerdict
from promptship.lifecycle import steps
from promptship.tasks.evaluation import assigned, evaluate, recorded, stable_now
from promptship.tasks.report import suite_markdown
from tests.support.house import House
from tests.support.suite_gates import Gate

KEY = "sk-abcdefgh_ijklmnop_qrstuvwx"
SUITE = """
cases:
  - {id: hello, trials: 2, assert: [{type: equals, value: hello}]}
  - {id: still, trials: 2, description: says something, assert: [{type: regex, value: .}]}
"""


def say(request: ChatRequest) -> str:
    return f"my key is {KEY}" if "now" in str(request.messages[0]["content"]) else "hello"


def released(tmp_path: Path) -> tuple[House, str, SuiteVerdict]:
    house = House(root=tmp_path)
    house.adopt()
    house.app = replace(house.app, models=ScriptedModels(say))
    release_id = house.push("Say hello now.", **{"suites/support.yaml": SUITE})
    steps.lint(house.app, release_id)
    outcome = asyncio.run(evaluate(house.app, release_id, examine=Gate()))
    recorded(house.app, release_id, outcome)
    (suite,) = outcome.verdict["suites"]
    return house, release_id, SuiteVerdict.model_validate(suite)


def page(house: House, release_id: str, verdict: SuiteVerdict) -> Any:
    work = assigned(house.app, release_id, stable=stable_now(house.app, release_id))
    return work, suite_markdown(work, verdict)


def test_changed_cases_stand_there_with_their_reasons_and_without_secrets(tmp_path: Path) -> None:
    house, release_id, verdict = released(tmp_path)
    _, text = page(house, release_id, verdict)
    (changed,) = [line for line in text.splitlines() if line.startswith("| `hello`")]
    assert "regressed" in changed
    assert r"my key is \[redacted\]" in changed, "the reason quotes the answer, without the key"
    assert "0/2 | 2/2" in changed
    assert "Changed cases: 1 of 2" in text
    assert "qrstuvwx" not in text
    events = str([event.fact for event in house.ledger.events(release_id)])
    assert "my key is" not in events, "the ledger holds no answer"


def test_without_all_rows_it_is_the_verdict_alone(tmp_path: Path) -> None:
    house, release_id, verdict = released(tmp_path)
    work, _ = page(house, release_id, verdict)
    path = work.directory / "support.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    assert page(house, release_id, verdict)[1] == to_markdown(verdict)
    path.unlink()
    assert page(house, release_id, verdict)[1] == to_markdown(verdict)
