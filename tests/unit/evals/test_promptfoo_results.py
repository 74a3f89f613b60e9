"""Result files in promptfoo's shape: what stands in them, and what must not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from promptship.chat import ChatAnswer
from promptship.errors import ConfigError, Unavailable
from promptship.evals.promptfoo.groups import case_id
from promptship.evals.promptfoo.results import About
from promptship.evals.promptfoo.run import Plan
from promptship.evals.promptfoo.writing import write
from promptship.evals.rows import Row
from promptship.evals.score import Scored
from tests.support.promptfoo import held, planned, written


def says(text: str, **more: Any) -> dict[str, Any]:
    return {"vars": {"text": text}, **more}


def contains(text: str) -> list[dict[str, Any]]:
    return [{"type": "contains", "value": text}]


async def test_answers_that_are_data_stay_data(tmp_path: Path) -> None:
    written(tmp_path, tests=[says("x", **{"assert": [{"type": "equals", "value": {"a": [1]}}]})])
    run = await held(tmp_path, says=lambda *_: {"a": [1]})
    (row,) = run.rows
    assert (row.value, row.answers, row.score) == ({"a": [1]}, ('{"a":[1]}',), Scored(True, 1.0))
    assert run.results["results"]["results"][0]["response"]["output"] == {"a": [1]}


async def test_costs_tokens_and_what_came_from_a_cache(tmp_path: Path) -> None:
    answer = ChatAnswer(
        text="x",
        tokens_in=3,
        tokens_out=4,
        cost_usd=0.5,
        latency_ms=12.4,
        finish_reason="stop",
        metadata={"k": 1},
    )
    kept = ChatAnswer(text="y", tokens_in=3, tokens_out=4, cost_usd=0.5, cached=True)
    written(tmp_path, tests=[says("new"), says("old")])
    run = await held(tmp_path, says=lambda prompt, _: answer if prompt == "new" else kept)
    new, old = sorted(run.results["results"]["results"], key=lambda one: one["testIdx"])
    assert (new["cost"], new["latencyMs"], new["response"]["finishReason"]) == (0.5, 12, "stop")
    assert (new["metadata"]["k"], new["tokenUsage"]["total"]) == (1, 7)
    assert (old["cost"], old["response"]["cached"], old["tokenUsage"]["cached"]) == (0, True, 7)
    assert run.results["results"]["stats"]["tokenUsage"]["total"] == 14
    assert run.results["results"]["prompts"][0]["metrics"]["cost"] == 0.5


@pytest.mark.parametrize("name", ["out.yaml", "out.yml"])
async def test_yaml_says_what_json_says(name: str, tmp_path: Path) -> None:
    text = "two\nlines: and 'quotes' \"more\" - \u2028 äöü\n\n  end "
    written(
        tmp_path, tests=[says(text, **{"assert": contains("x")}), says("x: |\n y")], description="a: b\n# c"
    )
    run = await held(tmp_path, out=name)
    again = await held(tmp_path, out="out.json", finished=run.rows)
    results, wanted = run.results["results"], again.results["results"]
    for one in (*results["results"], *wanted["results"]):
        one.pop("id")  # of the run
    assert results["results"] == wanted["results"]
    assert results["prompts"] == wanted["prompts"]
    assert run.results["config"] == again.results["config"]
    assert results["results"][0]["vars"] == {"text": text}


async def test_results_without_rows_are_yaml_too(tmp_path: Path) -> None:
    made = await planned(written(tmp_path, tests=[says("x")]))
    write(tmp_path / "out.yaml", about(made), ())
    assert yaml.safe_load(read(tmp_path / "out.yaml"))["results"]["results"] == []


def about(made: Plan) -> About:
    cases = {case_id(case): case for case in made.cases}
    return About(
        run_id="r", at=datetime(2026, 1, 2, tzinfo=UTC), config=made.config, columns=made.columns, cases=cases
    )


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


async def test_lines_of_results_and_places_that_take_none(tmp_path: Path) -> None:
    run = await held(written(tmp_path, tests=[says("x"), says("y")]))
    write(tmp_path / "lines.jsonl", about(run.plan), run.rows)
    lines = [json.loads(line) for line in read(tmp_path / "lines.jsonl").splitlines()]
    assert sorted(line["vars"]["text"] for line in lines) == ["x", "y"]
    with pytest.raises(ConfigError, match="expected a name that ends in"):
        write(tmp_path / "out.txt", about(run.plan), run.rows)
    write(tmp_path / "new" / "place" / "out.json", about(run.plan), run.rows)
    assert (tmp_path / "new" / "place" / "out.json").exists()
    with pytest.raises(ConfigError, match="not writable"):
        write(tmp_path / "lines.jsonl" / "out.json", about(run.plan), run.rows)


def test_a_file_of_results_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    def rows() -> Iterator[Row]:
        yield from ()
        raise Unavailable("the disk is gone")

    path = tmp_path / "out.json"
    path.write_text("before")
    made = asyncio.run(planned(written(tmp_path, tests=[says("x")])))
    with pytest.raises(Unavailable):
        write(path, about(made), rows())
    assert path.read_text() == "before"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.json", "promptfooconfig.yaml"]


async def test_secrets_stay_out_of_results(tmp_path: Path) -> None:
    provider = {
        "id": "fake",
        "config": {
            "apiKey": "sk-very-secret-0123456789abcdef",
            "max_tokens": 5,
            "headers": {"Authorization": "Bearer abcdefgh12345"},
        },
    }
    own = {"id": "own", "config": {"apiKey": "hidden-too"}}
    written(
        tmp_path,
        providers=[provider],
        env={"MY_TOKEN": "tok-123456"},
        tests=[says("x", options={"provider": own})],
    )
    run = await held(tmp_path)
    text = json.dumps(run.results)
    for secret in ("very-secret", "hidden-too", "abcdefgh12345", "tok-123456"):
        assert secret not in text
    assert run.results["config"]["providers"][0]["config"]["max_tokens"] == 5
    assert run.results["metadata"]["promptfooVersion"]


async def test_what_is_to_be_stripped_is_left_out(tmp_path: Path) -> None:
    test = says("private", metadata={"m": "private"}, **{"assert": contains("private")})
    written(tmp_path, tests=[test])
    env = dict.fromkeys(
        ("PROMPTFOO_STRIP_PROMPT_TEXT", "PROMPTFOO_STRIP_RESPONSE_OUTPUT", "PROMPTFOO_STRIP_TEST_VARS", "PROMPTFOO_STRIP_GRADING_RESULT",
         "PROMPTFOO_STRIP_METADATA"), "true",
    )  # fmt: skip
    run = await held(tmp_path, env=env)
    assert "private" not in json.dumps({**run.results["results"]["results"][0], "testCase": {}})
    assert run.results["results"]["results"][0]["success"] is True
    assert run.results["results"]["prompts"][0]["raw"] == "[prompt stripped]"
