"""A promptfoo run: which rows there are, in which order, what becomes of those that go wrong, and how it ends."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from promptship.errors import ConfigError, Refused, Unavailable
from promptship.evals.promptfoo.filters import Filters
from promptship.evals.promptfoo.model import CallContext
from promptship.evals.promptfoo.run import Options
from promptship.evals.score import Unscored
from promptship.evals.services import ScriptFailed
from tests.support.promptfoo import held, planned, written
from tests.support.services import FakeScripts


def says(text: str, **more: Any) -> dict[str, Any]:
    return {"vars": {"text": text}, **more}


def contains(text: str) -> list[dict[str, Any]]:
    return [{"type": "contains", "value": text}]


@pytest.mark.parametrize(
    ("texts", "env", "status"),
    [
        (["good", "good"], {}, 0),
        (["good", "bad"], {}, 1),
        (["good", "bad"], {"PROMPTFOO_PASS_RATE_THRESHOLD": "50"}, 0),
        (["good", "bad", "bad"], {"PROMPTFOO_PASS_RATE_THRESHOLD": "50"}, 1),
        (["good", "down"], {}, 3),
        (["good", "bad", "down"], {}, 1),
        (["good", "down"], {"PROMPTFOO_PASS_RATE_THRESHOLD": "50"}, 0),
        (["down", "down"], {}, 3),
    ],
)
async def test_how_a_run_ends(texts: list[str], env: dict[str, str], status: int, tmp_path: Path) -> None:
    written(tmp_path, tests=[says(text, **{"assert": contains("good")}) for text in texts])

    def answer(prompt: str, _: CallContext) -> Any:
        return Unavailable("no answer") if prompt == "down" else prompt

    run = await held(tmp_path, says=answer, env=env)
    assert run.ended.status == status
    assert run.ended.errors == texts.count("down")


async def test_whatever_goes_wrong_is_one_row_with_a_reason(tmp_path: Path) -> None:
    tests = [
        says("refused"), says("wrong"), says("fine"), says("fine", options={"prefix": "{{ x( }}"}), says("fine", options={"transform": "broken"}),
        says("fine", **{"assert": [{"type": "levenshtein", "value": "x", "threshold": -1}]}),
        says("fine", options={"transform": "nothing"}), says("fine", assertScoringFunction="file://none.js", **{"assert": contains("fine")}),
    ]  # fmt: skip
    written(tmp_path, tests=tests, defaultTest={"assert": contains("fine")})
    problems = {"refused": Refused("no"), "wrong": ConfigError([])}
    scripts = FakeScripts({"broken": ScriptFailed("it broke"), "nothing": None})
    run = await held(tmp_path, says=lambda prompt, _: problems.get(prompt, prompt), scripts=scripts)
    by_index = {row.case[:5]: row for row in run.rows}
    reasons = [
        row.score.reason if isinstance(row.score, Unscored) else "" for _, row in sorted(by_index.items())
    ]
    assert reasons[:3] == ["the provider refused the key", "the provider refused the request as wrong", ""]
    assert reasons[3:5] == ["the prompt cannot be rendered", "a transform failed"]
    assert reasons[6:] == ["a transform gave nothing", "the scoring function failed"]
    assert [bool(row.error) for _, row in sorted(by_index.items())] == [
        bool(reason) for reason in reasons[:7]
    ] + [False]
    assert by_index["00004"].answers == ("fine",)  # what was paid for is kept


async def test_a_file_of_an_assertion_that_is_not_there_stops_the_run_before_it_costs(tmp_path: Path) -> None:
    asserts = [{"type": "contains", "value": "file://none.txt"}, *contains("a")]
    written(tmp_path, tests=[says("a", **{"assert": asserts}), says("b", **{"assert": asserts})])
    with pytest.raises(
        ConfigError,
        match=r"tests\[0\]\.assert\[0\]\.value is 'file://none\.txt'; expected a file that exists",
    ):
        await held(tmp_path)


async def test_columns_repeats_and_the_numbers_of_rows(tmp_path: Path) -> None:
    written(
        tmp_path, prompts=["a {{text}}", "b {{text}}"], providers=["one", {"id": "two", "label": "second"}],
        tests=[says("x", options={"repeat": 2}), {"vars": {"text": ["p", "q"]}, "providers": ["second"]}],
    )  # fmt: skip
    run = await held(tmp_path)
    assert run.marks == [(n, c, "pass") for n in (0, 1) for c in range(4)] + [
        (n, c, "pass") for n in (2, 3) for c in (2, 3)
    ]
    assert [arm.model for arm in run.plan.arms] == ["one", "one", "second", "second"]
    assert len({arm.key for arm in run.plan.arms}) == 4
    assert len({row.key for row in run.rows}) == len(run.rows) == run.plan.rows == 12


async def test_equal_columns_are_kept_apart(tmp_path: Path) -> None:
    written(
        tmp_path,
        prompts=[{"raw": "{{text}}", "label": "same"}, {"raw": "{{text}}!", "label": "same"}],
        tests=[says("x")],
    )
    run = await held(tmp_path)
    assert len({arm.key for arm in run.plan.arms}) == 2
    assert sorted(row.sent for row in run.rows) == ["x", "x!"]


async def test_rows_that_build_on_each_other_go_one_by_one(tmp_path: Path) -> None:
    tests = [says(name, options={"storeOutputAs": "last"}) for name in "abc"]
    written(tmp_path, prompts=["{{text}}<{{last}}"], tests=tests)
    running = 0

    async def answer(prompt: str) -> str:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0)
        running -= 1
        return prompt

    run = await held(tmp_path, says=lambda prompt, _: answer(prompt))
    assert run.asked == ["a<", "b<a<", "c<b<a<"]
    assert [row.vars for row in run.rows if row.vars][-1]["last"] == "b<a<"


async def test_serial_rows_come_alone_and_before_all_others(tmp_path: Path) -> None:
    serial = [says(f"s{n}", options={"runSerially": True}) for n in range(3)]
    written(tmp_path, tests=[says("x"), serial[0], says("y"), *serial[1:]])
    running: list[str] = []
    together: list[int] = []

    async def answer(prompt: str) -> str:
        running.append(prompt)
        for _ in range(3):
            await asyncio.sleep(0)
            if prompt.startswith("s"):
                together.append(len(running))
        running.remove(prompt)
        return prompt

    run = await held(tmp_path, says=lambda prompt, _: answer(prompt), options=Options(concurrency=4))
    assert run.asked[:3] == ["s0", "s1", "s2"]
    assert sorted(run.asked[3:]) == ["x", "y"]
    assert set(together) == {1}


async def test_what_builds_on_a_changed_row_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "doc.txt").write_text("a")
    prompt = "{% for turn in _conversation %}{{turn.output}},{% endfor %}{{text}}"
    written(tmp_path, prompts=[prompt], tests=[says("first"), says("file://doc.txt"), says("c")])
    first = await held(tmp_path)
    (tmp_path / "doc.txt").write_text("b")
    second = await held(tmp_path, finished=first.rows)
    assert second.asked == ["first,b", "first,first,b,c"]


async def test_a_run_is_gone_on_with(tmp_path: Path) -> None:
    written(tmp_path, tests=[says(name, **{"assert": contains("a")}) for name in ("a", "b", "down")])

    def answer(prompt: str, _: CallContext) -> Any:
        return Unavailable("down") if prompt == "down" else prompt

    first = await held(tmp_path, says=answer)
    second = await held(tmp_path, finished=first.rows)
    assert second.plan.digest == first.plan.digest
    assert second.asked == ["down"]
    assert second.ended.ran.reused == 2
    assert (second.ended.passed, second.ended.failed, second.ended.errors) == (1, 2, 0)


async def test_a_changed_file_makes_rows_anew(tmp_path: Path) -> None:
    (tmp_path / "doc.txt").write_text("a")
    written(tmp_path, tests=[{"vars": {"text": "file://doc.txt"}}, says("same")])
    first = await held(tmp_path)
    (tmp_path / "doc.txt").write_text("b")
    second = await held(tmp_path, finished=first.rows)
    assert second.plan.digest != first.plan.digest
    assert second.asked == ["b"]


async def test_rows_that_build_on_each_other_are_gone_on_with_from_the_first_that_is_missing(
    tmp_path: Path,
) -> None:
    prompt = "{% for turn in _conversation %}{{turn.output}},{% endfor %}{{text}}"
    written(tmp_path, prompts=[prompt], tests=[says(name) for name in "abc"])
    first = await held(tmp_path)
    assert first.asked == ["a", "a,b", "a,a,b,c"]
    without_b = [row for row in first.rows if row.sent != "a,b"]
    second = await held(tmp_path, finished=without_b)
    assert second.asked == ["a,b", "a,a,b,c"]


async def test_limits_of_time(tmp_path: Path) -> None:
    async def slow(prompt: str) -> str:
        if prompt == "hangs":
            await asyncio.sleep(60)
        return prompt

    written(tmp_path, tests=[says("hangs"), says("quick")], evaluateOptions={"timeoutMs": 30})
    run = await held(tmp_path, says=lambda prompt, _: slow(prompt))
    assert run.marks == [(0, 0, "error"), (1, 0, "pass")]
    written(
        tmp_path,
        tests=[says("hangs"), says("quick")],
        evaluateOptions={"maxEvalTimeMs": 30, "maxConcurrency": 1},
    )
    run = await held(tmp_path, says=lambda prompt, _: slow(prompt))
    assert run.asked == ["hangs"]
    assert [row.error for row in run.rows] == ["the time of the whole run was over: maxEvalTimeMs"] * 2


async def test_what_a_test_says_reaches_the_provider(tmp_path: Path) -> None:
    contexts: list[CallContext] = []

    def answer(prompt: str, context: CallContext) -> str:
        contexts.append(context)
        return prompt

    options = {"temperature": 0.5, "transform": "output", "repeat": 1, "prefix": "<"}
    prompt = {"raw": "{{text}}", "label": "p", "config": {"temperature": 0, "seed": 7}}
    written(tmp_path, prompts=[prompt], tests=[says("x", options=options)])
    run = await held(
        tmp_path, says=answer, scripts=FakeScripts({"output": lambda script: script.names["output"]})
    )
    (context,) = contexts
    assert (context.prompt_config, context.prompt_label) == ({"temperature": 0.5, "seed": 7}, "p")
    assert (context.vars["text"], context.vars["__repeatIndex"]) == ("x", 0)
    (result,) = run.results["results"]["results"]
    assert result["prompt"]["raw"] == "<x"
    assert result["prompt"]["config"] == {"temperature": 0.5, "seed": 7, "transform": "output", "prefix": "<"}
    assert not [name for name in result["vars"] if name.startswith("__")]


async def test_filters_of_providers_and_prompts(tmp_path: Path) -> None:
    written(
        tmp_path,
        prompts=["a {{text}}", "b {{text}}"],
        providers=["one", {"id": "two", "label": "second"}],
        tests=[says("x")],
    )
    run = await held(
        tmp_path, options=Options(filters=Filters(providers="sec", prompts="^b"), variables={"more": 1})
    )
    assert run.asked == ["b x"]
    assert run.results["results"]["results"][0]["vars"] == {"more": 1, "text": "x"}


async def test_nothing_to_run_is_an_error(tmp_path: Path) -> None:
    written(tmp_path, tests=[says("x")])
    with pytest.raises(ConfigError, match="at least one row"):
        await planned(tmp_path, options=Options(filters=Filters(pattern="none")))
    with pytest.raises(ConfigError, match="at least one row"):
        await planned(tmp_path, options=Options(filters=Filters(providers="none")))


async def test_settings_of_the_file_give_way_to_the_command_line(tmp_path: Path) -> None:
    written(
        tmp_path, tests=[says(str(n)) for n in range(4)], evaluateOptions={"repeat": 2, "maxConcurrency": 3, "filterRange": ":2"},
        commandLineOptions={"repeat": 3},
    )  # fmt: skip
    own = await planned(tmp_path)
    assert (own.repeat, own.concurrency, own.rows) == (3, 3, 6)
    over = await planned(tmp_path, options=Options(repeat=1, concurrency=9, filters=Filters(range="1:4")))
    assert (over.repeat, over.concurrency, over.rows) == (1, 9, 3)


async def test_a_comparison_that_cannot_be_made_leaves_rows_without_a_score(tmp_path: Path) -> None:
    asserts = [*contains("x"), {"type": "select-best", "value": {"no": "text"}}]
    run = await held(written(tmp_path, providers=["one", "two"], tests=[says("x", **{"assert": asserts})]))
    assert [mark for _, _, mark in run.marks] == ["error", "error"]


async def test_the_best_of_several_columns(tmp_path: Path) -> None:
    asserts = [*contains("x"), {"type": "contains", "value": "y"}, {"type": "max-score"}]
    written(tmp_path, prompts=["{{text}}", "{{text}} y"], tests=[says("x", **{"assert": asserts})])
    run = await held(tmp_path)
    assert run.marks == [(0, 0, "fail"), (0, 1, "pass")]
    winner = next(one for one in run.results["results"]["results"] if one["success"])
    assert [part["assertion"]["type"] for part in winner["gradingResult"]["componentResults"]] == [
        "contains",
        "contains",
        "max-score",
    ]


async def test_hooks_change_tests_rows_and_see_the_end(tmp_path: Path) -> None:
    for name in ("one.js", "two.py"):
        (tmp_path / name).write_text("")
    seen: list[Any] = []

    def hook(script: Any) -> Any:
        context = script.arguments[0]
        if "evalId" in context:
            seen.append(context)
        elif "suite" in context:
            context["suite"]["tests"].append(says("added"))
        elif "result" in context:
            context["result"]["namedScores"] = {"hooked": 0.5, "odd": "x"}
            context["result"]["metadata"]["seen"] = True
        else:
            context["test"]["vars"]["text"] += "!"
        return json.loads(json.dumps(context))

    written(
        tmp_path,
        tests=[says("x")],
        extensions=[f"file://one.js:{name}" for name in ("beforeAll", "beforeEach", "afterEach", "afterAll")],
    )
    scripts = FakeScripts(dict.fromkeys(("beforeAll", "beforeEach", "afterEach", "afterAll"), hook))
    run = await held(tmp_path, scripts=scripts)
    assert sorted(run.asked) == ["added!", "x!"]
    assert [row.named for row in run.rows] == [{"hooked": 0.5}] * 2
    assert all(row.metadata == {"seen": True} for row in run.rows)
    (end,) = seen
    assert (len(end["results"]), end["prompts"][0]["metrics"]["testPassCount"]) == (2, 2)


async def test_a_hook_that_fails(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("")
    written(tmp_path, tests=[says("x")], extensions=["file://one.py:beforeAll"])
    with pytest.raises(ConfigError, match="it broke"):
        await planned(tmp_path, scripts=FakeScripts({"beforeAll": ScriptFailed("it broke")}))
    written(tmp_path, tests=[says("x")], extensions=["file://one.py:afterEach"])
    run = await held(tmp_path, scripts=FakeScripts({"afterEach": ScriptFailed("it broke")}))
    assert run.rows[0].metadata["afterEach"].startswith("failed")
    assert run.ended.status == 0
    written(tmp_path, tests=[says("x")], extensions=["file://one.py:beforeEach"])
    run = await held(tmp_path, scripts=FakeScripts({"beforeEach": ScriptFailed("it broke")}))
    assert run.marks == [(0, 0, "error")]
