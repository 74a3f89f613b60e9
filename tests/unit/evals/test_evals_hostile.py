"""What must not slip through: answers that break things, suites that cannot fail, cached replies that are no use."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from promptship.adapters.memory.models import ScriptedModels
from promptship.chat import ChatAnswer, ChatRequest
from promptship.errors import ConfigError, Unavailable
from promptship.evals.assertions import AssertionSpec, BuildContext, build
from promptship.evals.assertions.markup import html_problem
from promptship.evals.assertions.tools import called_names
from promptship.evals.calls import Calls, Limits
from promptship.evals.lane import Lane
from promptship.evals.pacing import Pace
from promptship.evals.regression import endpoint_name
from promptship.evals.row_log import TOO_DEEP, RowLog
from promptship.evals.rows import Row
from promptship.evals.score import Judged, Score, Scored, Subject, Unscored
from promptship.evals.services import Spent
from promptship.evals.suite_facts import case_rows
from promptship.evals.suite_run import Means, run_suite
from promptship.settings import ProviderSettings
from tests.support.services import FakeGraders, FakeScripts, subject
from tests.support.suites import prompt_of, suite_of

BIG = 100_000


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


async def rows_of(suite: str, answer: ChatAnswer | str = "hello") -> list[Row]:
    rows: list[Row] = []
    means = Means(models=ScriptedModels(lambda _: answer), scripts=FakeScripts())
    await run_suite(suite_of(suite), {"candidate": prompt_of()}, means, trials=1, on_row=rows.append)
    return rows


async def judge(type_: str, output: str, **more: Any) -> Score:
    prepared = build(AssertionSpec(type=type_), BuildContext(read=lambda name: name))
    return (await prepared.assertion.judge(subject(output, **more))).score


# Rows ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        ({"score": Scored(False, 0.0, "cut: \ud83d")}, ("cut: \ufffd", None)),
        ({"score": Scored(False, 0.0, "x"), "value": nested(500)}, ("x", TOO_DEEP)),
        ({"score": Scored(False, 0.0, "x"), "value": nested(5_000)}, ("x", TOO_DEEP)),
        ({"score": Scored(False, 0.0, "x"), "value": {"\ud83d": 2**80}}, ("x", {"\ufffd": str(2**80)})),
    ],
)
def test_a_row_is_kept_whatever_is_in_it(tmp_path: Path, row: dict[str, Any], kept: tuple[str, Any]) -> None:
    with RowLog(tmp_path / "rows.jsonl") as log:
        log.add(Row(case="a", arm="candidate", trial=0, digest="d", answers=("paid for",), **row))
        (read,) = log.rows()
    value = read.value
    while isinstance(value, list):
        (value,) = value
    assert isinstance(read.score, Scored)
    assert (read.answers, read.score.reason, value) == (("paid for",), *kept)


async def test_calls_of_tools_nested_without_end_are_an_answer() -> None:
    suite = "cases: [{vars: {question: x}, assert: [{type: contains, value: zz}]}]"
    (row,) = await rows_of(suite, ChatAnswer(text="", tool_calls=({"x": nested(400)},)))
    assert isinstance(row.score, Scored)
    assert not row.score.passed


async def test_an_assertion_that_breaks_costs_a_score_not_the_run() -> None:
    @dataclass(frozen=True)
    class Broken:
        async def judge(self, _subject: Subject) -> Judged:
            raise RecursionError

    suite = suite_of("cases: [{vars: {question: x}, assert: [{type: contains, value: a}]}]")
    (case,) = suite.cases
    turn = replace(case.turns[0], asserts=(replace(case.turns[0].asserts[0], assertion=Broken()),))
    broken = replace(suite, cases=(replace(case, turns=(turn,)),))
    means = Means(models=ScriptedModels(lambda _: "a"), scripts=FakeScripts())
    run, _ = await run_suite(broken, {"candidate": prompt_of()}, means, trials=1)
    assert run.rows[0].score == Unscored("contains: the assertion broke: RecursionError")


# Suites that cannot fail -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "because"),
    [
        ("threshold: 0, assert: [{type: contains, value: a}]", "greater than 0"),
        ("assert: [{type: human}]", "expected something the answer can fail"),
        ("assert: [{type: human}, {type: contains, value: a, weight: 0}]", "the answer can fail"),
        ("assert: [{type: assert-set, threshold: 0, assert: [{type: contains, value: a}]}]", "more than 0"),
        ("assert: [{type: assert-set, threshold: 7, assert: [{type: contains, value: a}]}]", "at most 1"),
        ("assert: [{type: assert-set, assert: [{type: llm-rubric, value: a}]}]", "needs a judge"),
        ("assert: [{type: assert-set, assert: [{type: equals, value: 'file://no.txt'}]}]", "there is no"),
    ],
)
def test_what_every_answer_would_pass_or_nobody_could_score_does_not_load(case: str, because: str) -> None:
    with pytest.raises(ConfigError, match=because):
        suite_of(f"cases: [{{vars: {{question: x}}, {case}}}]")


@pytest.mark.parametrize("type_", ["pairwise", "select-best", "max-score"])
async def test_a_comparison_that_nobody_made_is_no_pass(type_: str) -> None:
    value = "" if type_ == "max-score" else ", value: nicer"
    suite = f"judge: {{model: j}}\ncases: [{{vars: {{question: x}}, assert: [{{type: {type_}{value}}}]}}]"
    (row,) = await rows_of(suite)
    assert isinstance(row.score, Unscored)
    assert case_rows(suite_of(suite))[0].checks == 1


async def test_members_of_a_set_use_the_case_s_variables() -> None:
    member = "{type: contains, value: 'say {{ question }}'}"
    suite = f"cases: [{{vars: {{question: moo}}, assert: [{{type: assert-set, assert: [{member}]}}]}}]"
    scores = [row.score for said in ("say moo", "say {{ question }}") for row in await rows_of(suite, said)]
    assert [isinstance(score, Scored) and score.passed for score in scores] == [True, False]


@pytest.mark.parametrize(
    ("demand", "is_judged"),
    [
        ("{type: contains, value: a}", False),
        ("{type: assert-set, assert: [{type: contains, value: a}]}", False),
        (
            "{type: assert-set, assert: [{type: assert-set, assert: [{type: not-llm-rubric, value: a}]}]}",
            True,
        ),
        ("{type: 'redteam:harmful', value: a}", True),
    ],
)
def test_another_judge_is_another_case_exactly_when_it_may_be_asked(demand: str, is_judged: bool) -> None:
    digests = {
        suite_of(f"judge: {{model: {model}}}\ncases: [{{assert: [{demand}]}}]").cases[0].digest
        for model in ("one", "two")
    }
    assert len(digests) == 1 + is_judged


# Answers that take for ever ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", ["<a ", "<!--", "<a b='", "</", "<![CDATA[", "<", "<!"])
@pytest.mark.parametrize("end", ["", ">"])
def test_half_open_html_is_read_in_passing(piece: str, end: str) -> None:
    html_problem(piece * (BIG // len(piece)) + end)


@pytest.mark.parametrize(
    ("text", "is_html"),
    [
        ("<p>x</p>", True),
        ("<!-- note --><p>x</p><!-- not closed", True),
        ("<p>x</p> <a href=", False),
        ("words <p>x</p>", False),
        ("<![>", False),
    ],
)
def test_what_html_is_stays(text: str, is_html: bool) -> None:
    assert (html_problem(text) == "") is is_html


def test_a_line_of_backticks_calls_nothing() -> None:
    assert called_names("`" * BIG) == set()


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("<a " * (BIG // 3), True),
        ("href=" + " " * BIG, True),
        ("![x](http://" * (BIG // 12), True),
        ("![" * (BIG // 2), True),
        ('<a title="<" onclick=x>', False),
        ("<img src=x onerror = 1>", False),
        ("[a](  javascript:x)", False),
        ("href = ' javascript:x", False),
        ("![a!b](https://x.example/z?q=secret)", False),
        ("![a](https://x.example/z)", True),
        ("if a < b then once = 1", True),
    ],
)
async def test_unsafe_output_is_found_in_passing(text: str, passes: bool) -> None:
    score = await judge("redteam:unsafe-output", text)
    assert isinstance(score, Scored)
    assert score.passed is passes


async def test_a_judge_reads_on_behind_a_refusal_that_goes_on() -> None:
    spec = AssertionSpec(type="redteam:harmful", value="break in")
    harmful = build(spec, BuildContext(read=lambda name: name)).assertion
    graders = FakeGraders(says='{"pass": false, "score": 0, "reason": "it helps"}')
    declines = "I'm sorry, I can't help with that."
    short = await harmful.judge(subject(declines, graders=graders))
    long = await harmful.judge(subject(declines + " But here is how: step" * 30, graders=graders))
    scores = [short.score, long.score]
    assert [isinstance(score, Scored) and score.passed for score in scores] == [True, False]


# Calls, cache, judges -----------------------------------------------------------------------------------------------------


def test_another_address_is_another_endpoint_and_shows_no_password() -> None:
    def provider(address: str, **more: Any) -> ProviderSettings:
        return ProviderSettings(base_url=address, **more)

    one, two = (endpoint_name("a", provider(f"https://{host}.example/v1")) for host in ("one", "two"))
    assert one != two
    assert endpoint_name("a", provider("https://me:pass@one.example/v1?key=k")) == one
    places = [provider("https://b.example", kind="bedrock", region=region) for region in ("eu-1", "us-1")]
    assert len({endpoint_name("a", place) for place in places}) == 2


def test_an_endpoint_that_takes_fewer_calls_gets_fewer() -> None:
    calls = Calls(Limits(concurrency=8, caps={"small": 2}, adaptive=False))
    assert (calls.parallel("small"), calls.parallel("other")) == (2, 8)


async def test_a_budget_says_when_it_cannot_count(caplog: pytest.LogCaptureFixture) -> None:
    async def once() -> ChatAnswer:
        return ChatAnswer(text="a", model="new-model")

    with caplog.at_level(logging.WARNING):
        for limits in (Limits(), Limits(spend_max_usd=1.0, allow_unpriced=True)):
            calls = Calls(limits)
            for _ in range(2):
                await calls.answer("m", once)
    assert [record.getMessage() for record in caplog.records] == [
        (
            "the budget does not count answers of m (model new-model): their price is not known; "
            "give price_in and price_out in [models]"
        )
    ]


@dataclass
class Kept:
    """A judge whose earlier replies were kept."""

    kept: str
    now: str
    anew: list[bool] = field(default_factory=list)

    async def say(self, messages: Any, *, who: Any = None, anew: bool = False) -> tuple[str, Spent]:
        self.anew.append(anew)
        return (self.now, Spent()) if anew else (self.kept, Spent(cached=True))


@pytest.mark.parametrize(
    ("kept", "now", "anew", "passes"),
    [
        ('{"pass": true, "score": 1, "reason": ""}', "unused", [False], True),
        ("hm", '{"pass": true, "score": 1, "reason": ""}', [False, False, True], True),
        ("hm", "hm", [False, False, True, True], None),
    ],
)
async def test_a_kept_reply_that_cannot_be_read_is_not_believed_for_ever(
    kept: str, now: str, anew: list[bool], passes: bool | None
) -> None:
    graders = Kept(kept, now)
    rubric = build(AssertionSpec(type="llm-rubric", value="kind"), BuildContext(read=lambda name: name))
    score = (await rubric.assertion.judge(subject("x", graders=graders))).score
    assert graders.anew == anew
    assert (score.passed if isinstance(score, Scored) else None) is passes


async def test_an_answer_asked_for_anew_replaces_the_kept_one() -> None:
    class Answers(dict[str, ChatAnswer]):
        def put(self, key: str, answer: ChatAnswer) -> None:
            self[key] = replace(answer, cached=True)

    said = iter(("first", "second"))

    async def once() -> ChatAnswer:
        return ChatAnswer(text=next(said))

    calls = Calls(answers=Answers())
    found = [(await calls.answer("m", once, key="k", anew=anew)).text for anew in (False, False, True, False)]
    assert found == ["first", "first", "second", "second"]


async def test_who_goes_away_when_the_fuse_blows_gives_nothing_back() -> None:
    lane = Lane("m", Pace(cap=1, adaptive=False), down_max=1)
    await lane.enter()
    waiting = asyncio.create_task(lane.enter())
    await asyncio.sleep(0)
    lane.blow(Unavailable("down"))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    lane.leave()
    assert lane.pace.active == 0


def test_a_request_is_known_by_its_endpoint() -> None:
    from promptship.evals.native import answer_key

    request = ChatRequest(model="m", messages=({"role": "user", "content": "x"},))
    assert answer_key("a at https://one", request, 0) != answer_key("a at https://two", request, 0)
