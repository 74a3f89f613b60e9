"""What promptfoo's dashboards read of a result besides its verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from promptship.chat import ChatAnswer
from promptship.evals.calls import Calls
from promptship.evals.promptfoo.graders import PromptfooGraders
from promptship.evals.promptfoo.providers import Providers
from promptship.evals.promptfoo.run import run_config, write_results
from promptship.evals.rows import Asserted, Row, from_json, to_json
from promptship.evals.score import Scored
from promptship.evals.scripts.pool import ScriptPool
from promptship.evals.services import Services, Usage
from promptship.evals.session import Session
from tests.support.promptfoo import held, planned, written

JUDGE = """
import json
def call_api(prompt, options, context):
    said = json.dumps({"pass": True, "score": 0.5, "reason": "fine"})
    return {"output": said, "tokenUsage": {"prompt": 7, "completion": 3, "total": 10}}
"""


async def test_tokens_of_judges_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "judge.py").write_text(JUDGE)
    rubric = {"type": "llm-rubric", "value": "kind", "provider": "file://judge.py"}
    tests = [{"vars": {"text": "x"}, "assert": [rubric, {"type": "assert-set", "assert": [rubric]}]}]
    made = await planned(written(tmp_path, tests=tests))
    providers = Providers()
    async with ScriptPool(1) as scripts:
        with Session.create(
            tmp_path, what="t", digest=made.digest, arms=made.arms, cases=made.case_facts, trials=made.rows
        ) as session:
            calls = Calls()
            graders = PromptfooGraders(providers, calls, scripts, tmp_path)
            services = Services(scripts=scripts, graders=graders)
            await run_config(made, services, calls, session=session)
            write_results([tmp_path / "out.json"], made, session)
    await providers.aclose()
    results = read(tmp_path)
    (result,) = results["results"]["results"]
    once = {"total": 10, "prompt": 7, "completion": 3, "cached": 0, "numRequests": 1}
    twice = {name: 2 * count for name, count in once.items()}
    plain, whole, part = result["gradingResult"]["componentResults"]
    for one, wanted in ((plain, once), (whole, once), (part, once), (result["gradingResult"], twice)):
        assert {name: one["tokensUsed"][name] for name in wanted} == wanted
    places = [result, results["results"]["prompts"][0]["metrics"], results["results"]["stats"]]
    for one in places:
        assert {name: one["tokenUsage"]["assertions"][name] for name in twice} == twice
    assert result["response"]["cached"] is False


def read(directory: Path) -> Any:
    return json.loads((directory / "out.json").read_text())


async def test_texts_that_are_json_are_written_anew_and_without_secrets(tmp_path: Path) -> None:
    texts = {
        '{"a": 1.0, "b": [1,  2]}': '{"a":1,"b":[1,2]}', ' [ {"x": 1} ] ': '[{"x":1}]', "{no json": "{no json",
        '"text "': '"text "', '{"apiKey": "hidden-one", "n": 2}': '{"apiKey":"[redacted]","n":2}',
    }  # fmt: skip
    run = await held(written(tmp_path, tests=[{"vars": {"text": text}} for text in texts]))
    results = sorted(run.results["results"]["results"], key=lambda one: one["testIdx"])
    for one, wanted in zip(results, texts.values(), strict=True):
        assert one["vars"]["text"] == one["testCase"]["vars"]["text"] == wanted
        assert one["prompt"]["raw"].replace("\n", "").replace(" ", "") == wanted.replace(" ", "")
    assert results[0]["response"]["output"] != results[0]["vars"]["text"]  # the answer stays as it was given


async def test_what_a_prompt_function_says_about_the_call_stands_in_the_row(tmp_path: Path) -> None:
    (tmp_path / "ask.py").write_text(
        "def ask(context):\n    return {'prompt': 'hi', 'config': {'temperature': 0.9}}\n"
    )
    written(tmp_path, prompts=["file://ask.py:ask"], tests=[{"vars": {"text": "x"}, "options": {"seed": 3}}])
    told: list[Any] = []

    def says(_: str, context: Any) -> ChatAnswer:
        told.append(context)
        return ChatAnswer(text="yes")

    async with ScriptPool(1) as scripts:
        run = await held(tmp_path, says=says, scripts=scripts)
    (result,) = run.results["results"]["results"]
    assert result["prompt"]["config"] == {"temperature": 0.9, "seed": 3}
    assert told[0].prompt_config == {"temperature": 0.9, "seed": 3}
    assert (told[0].test_index, told[0].run_id, told[0].prompt_raw[:7]) == (
        0,
        run.results["evalId"],
        "def ask",
    )


async def test_scores_by_name_stand_at_the_assertion_that_gave_them(tmp_path: Path) -> None:
    code = (
        "({pass: true, score: 1, reason: 'r', namedScores: {tone: 0.5}, "
        "componentResults: [{pass: false, score: 0, reason: 'part'}]})"
    )
    members = [{"type": "contains", "value": "x", "metric": "word", "weight": 3}]
    asserts = [{"type": "javascript", "value": code}, {"type": "assert-set", "assert": members, "weight": 0}]
    async with ScriptPool(1) as scripts:
        run = await held(
            written(tmp_path, tests=[{"vars": {"text": "y"}, "assert": asserts}]), scripts=scripts
        )
    (result,) = run.results["results"]["results"]
    script, part, whole, _ = result["gradingResult"]["componentResults"]
    assert script["namedScores"] == {"tone": 0.5}
    assert (script["componentResults"][0].get("assertion"), part["assertion"]["value"]) == (None, code)
    assert (whole["namedScores"], whole["namedScoreWeights"], whole["pass"]) == (
        {"word": 0.0},
        {"word": 3},
        False,
    )
    assert result["success"] is False  # a set that weighs nothing still has to pass


def test_rows_keep_these_details() -> None:
    usage = Usage(prompt=1, completion=2, cached=3, requests=4)
    asserted = Asserted(
        label="a",
        turn=0,
        score=Scored(True, 1.0),
        judge_usage=usage,
        named={"n": 0.5},
        named_weights={"n": 2.0},
    )
    row = Row(
        case="c",
        arm="a",
        trial=0,
        digest="d",
        score=Scored(True, 1.0),
        asserted=(asserted,),
        prompt_config={"t": 1},
    )
    assert from_json(to_json(row)) == row
