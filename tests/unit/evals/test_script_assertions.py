"""Script assertions and transforms: what they call, with what, and what they make of a failure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from promptship.errors import ConfigError, Problem
from promptship.evals.assertions.base import AssertionSpec, BuildContext, Dialect
from promptship.evals.assertions.script import SCRIPTS, Scripted, transform, transformed
from promptship.evals.assertions.sets import negated
from promptship.evals.score import Scored, Unscored
from promptship.evals.services import Language, Script, ScriptFailed
from tests.support.services import FakeScripts, subject

NATIVE, PROMPTFOO = Dialect.NATIVE, Dialect.PROMPTFOO
FILES = {
    "check.py": "def get_assert(output, context): return True\nclass A:\n    def b(): ...\nfrom os import path as other\n",
    "check.js": "module.exports = () => true",
    "check.rb": "def get_assert(output, context) = true",
    "broken.py": "def get_assert(:",
    "check.ts": "export default 1",
    "t.py": "def get_transform(output, context): return output",
}


def read(name: str) -> str:
    if name not in FILES:
        raise ConfigError([Problem(name, "", "missing", "expected a file")])
    return FILES[name]


def made(dialect: Dialect = NATIVE, root: Path | None = None, **spec: Any) -> Scripted:
    context = BuildContext(read=read, dialect=dialect, root=root)
    checked = AssertionSpec.model_validate(spec)
    assertion = SCRIPTS[checked.type.removeprefix("not-")](checked, context)
    assert isinstance(assertion, Scripted)
    return assertion


class Answers(FakeScripts):
    """Every script gives the same, or raises it."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    async def run(self, script: Script) -> Any:
        self.asked.append(script)
        if isinstance(self.answer, ScriptFailed):
            raise self.answer
        return self.answer


async def test_inline_code_gets_the_answer_and_its_context_by_name() -> None:
    scripts = Answers(True)
    about = subject(
        "hi", scripts=scripts, value=[1], prompt="Say hi", vars={"n": 3}, test={"description": "d"}, provider_config={"t": 1},
        cost_usd=0.5, latency_ms=7.0, tokens_in=2, tokens_out=3, logprobs=(-0.5,), metadata={"m": 1}, finish_reason="stop",
    )  # fmt: skip
    await made(type="javascript", value="true", config={"k": 1, "timeout_s": 2}).judge(about)
    (script,) = scripts.asked
    assert (script.language, script.code, script.limit_s, script.path) == (
        Language.JAVASCRIPT,
        "true",
        2.0,
        None,
    )
    assert script.names["output"] == [1]
    assert script.names["context"] == {
        "prompt": "Say hi", "vars": {"n": 3}, "test": {"description": "d"}, "provider": {"config": {"t": 1}}, "metadata": {"m": 1},
        "config": {"k": 1}, "logProbs": (-0.5,),
        "providerResponse": {
            "output": [1], "raw": "hi", "cached": False, "cost": 0.5, "latencyMs": 7.0, "finishReason": "stop", "logProbs": (-0.5,),
            "metadata": {"m": 1}, "tokenUsage": {"prompt": 2, "completion": 3, "total": 5},
        },
    }  # fmt: skip


async def test_without_a_joined_prompt_a_script_gets_the_messages() -> None:
    scripts = Answers(True)
    messages = ({"role": "user", "content": "Hi"},)
    await made(type="python", value="True").judge(subject("hi", scripts=scripts, messages=messages))
    assert scripts.asked[0].names["context"]["prompt"] == list(messages)
    assert scripts.asked[0].names["context"]["config"] == {}
    await made(PROMPTFOO, type="python", value="True").judge(subject("hi", scripts=scripts))
    assert "config" not in scripts.asked[1].names["context"]


@pytest.mark.parametrize(
    ("value", "language", "function"),
    [
        ("file://check.js", Language.JAVASCRIPT, ""),
        ("file://check.js:other", Language.JAVASCRIPT, "other"),
        ("file://check.py", Language.PYTHON, "get_assert"),
        ("file://check.py:A.b", Language.PYTHON, "A.b"),
        ("file://check.py:other", Language.PYTHON, "other"),
        ("file://check.rb", Language.RUBY, "get_assert"),
    ],
)
async def test_a_file_is_called_with_the_answer_and_its_context(
    value: str, language: Language, function: str, tmp_path: Path
) -> None:
    scripts = Answers(True)
    await made(root=tmp_path, type=str(language), value=value).judge(subject("hi", scripts=scripts))
    (script,) = scripts.asked
    name = value.removeprefix("file://").partition(":")[0]
    assert (script.language, script.function, script.code) == (language, function, FILES[name])
    assert (script.path, script.root) == (tmp_path / name, tmp_path)
    assert script.arguments[0] == "hi"
    assert not script.names


async def test_the_ending_decides_about_the_language_in_promptfoo() -> None:
    scripts = Answers(True)
    await made(PROMPTFOO, type="javascript", value="file://check.py").judge(subject(scripts=scripts))
    assert scripts.asked[0].language is Language.PYTHON


@pytest.mark.parametrize(
    ("code", "called"),
    [
        ("let y = 1; y", "let y = 1;\nreturn y"),
        ("const a=1; const b=2; a<b;", "const a=1; const b=2;\nreturn a<b"),
        ("  const a = 1; a ", "const a = 1;\nreturn a"),
        ("const a = 1", "{\nconst a = 1\n}"),
        ("constant = 1; constant", "constant = 1; constant"),
        ("true; false", "true; false"),
        ("const a = 1;\nreturn a", "const a = 1;\nreturn a"),
    ],
)
async def test_one_line_that_declares_something_gives_its_last_statement(code: str, called: str) -> None:
    scripts = Answers(True)
    await made(type="javascript", value=code).judge(subject(scripts=scripts))
    assert scripts.asked[0].code == called


RAISED = ScriptFailed("the script raised KeyError", "'x'", raised=True)
ASSERTED = ScriptFailed("an assertion of the script failed", "no x", asserted=True, raised=True)
LIMIT = ScriptFailed("the script took longer than 5 s")
FAILED, LOST = Scored, Unscored


@pytest.mark.parametrize(
    ("dialect", "value", "error", "kind"),
    [
        (NATIVE, "1", RAISED, LOST),
        (NATIVE, "1", ASSERTED, FAILED),
        (NATIVE, "1", LIMIT, LOST),
        (NATIVE, "file://check.py", ASSERTED, FAILED),
        (PROMPTFOO, "1", RAISED, FAILED),
        (PROMPTFOO, "1", ASSERTED, FAILED),
        (PROMPTFOO, "1", LIMIT, LOST),
        (PROMPTFOO, "file://check.py", RAISED, FAILED),
        (PROMPTFOO, "file://check.js", RAISED, LOST),
        (PROMPTFOO, "file://check.js", LIMIT, LOST),
    ],
)
async def test_a_failure_is_unscored_unless_it_is_an_answer(
    dialect: Dialect, value: str, error: ScriptFailed, kind: type
) -> None:
    assertion = made(dialect, type="python" if value != "file://check.js" else "javascript", value=value)
    about = subject(scripts=Answers(error))
    score = (await assertion.judge(about)).score
    opposite = (await negated(assertion).judge(about)).score
    assert type(score) is type(opposite) is kind
    if isinstance(score, Unscored):
        assert (score.reason, score.detail) == (error.reason, error.detail)
    if isinstance(score, Scored) and isinstance(opposite, Scored):
        assert not score.passed
        # In promptfoo an error fails either way; here a failed assert statement is an answer, and its opposite passes.
        assert opposite.passed is (dialect is NATIVE)


async def test_not_turns_the_score_here_and_keeps_a_number_in_promptfoo() -> None:
    about = subject(scripts=Answers(0.25))
    assert (await negated(made(type="javascript", value="1")).judge(about)).score == Scored(
        False, 0.75, "it does, and should not"
    )
    score = (await negated(made(PROMPTFOO, type="javascript", value="1")).judge(about)).score
    assert isinstance(score, Scored)
    assert (score.passed, score.score) == (False, 0.25)


@pytest.mark.parametrize(
    ("spec", "key", "expected"),
    [
        ({"type": "python", "value": None}, "value", "Python code"),
        ({"type": "javascript", "value": " "}, "value", "Javascript code"),
        ({"type": "python", "value": "return ("}, "value", "expected Python: "),
        ({"type": "python", "value": "x = 1"}, "value", "return a result"),
        ({"type": "python", "value": "a\0b"}, "value", "expected Python: "),
        ({"type": "python", "value": "file://broken.py"}, "value", "expected Python: "),
        ({"type": "python", "value": "file://check.py:nope"}, "value", "a function nope(output, context)"),
        (
            {"type": "python", "value": "file://check.js"},
            "value",
            "file://name.py or file://name.py:function",
        ),
        (
            {"type": "javascript", "value": "file://check.txt"},
            "value",
            "file://name.js or file://name.js:function",
        ),
        ({"type": "javascript", "value": "file://check.ts"}, "value", "expected JavaScript"),
        ({"type": "python", "value": "1", "config": {"timeout_s": 0}}, "config.timeout_s", "more than 0"),
        ({"type": "ruby", "value": "1", "config": {"timeout_s": True}}, "config.timeout_s", "more than 0"),
    ],
)
def test_what_is_wrong_with_a_specification_is_said_before_the_run(
    spec: dict[str, Any], key: str, expected: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        made(**spec)
    (problem,) = caught.value.problems
    assert problem.key == key
    assert expected in problem.expected


def test_promptfoo_finds_out_while_it_runs() -> None:
    for value in ("return (", "x = 1", "file://broken.py", "file://check.py:nope"):
        assert made(PROMPTFOO, type="python", value=value).dialect is PROMPTFOO
    assert made(PROMPTFOO, type="python", value="1", config={"timeout_s": "soon"}).config == {
        "timeout_s": "soon"
    }


# Transforms -----------------------------------------------------------------------------------------------------------


async def test_transform_runs_code_or_a_file() -> None:
    scripts = Answers("made")
    assert await transform(scripts, "output + 1", "hi", {"vars": {}}, read=read, limit_s=3) == "made"
    assert await transform(scripts, "file://t.py", "hi", {}, read=read, root=Path("/r")) == "made"
    assert await transform(scripts, "file://check.js:up", "hi", {}, read=read) == "made"
    inline, python, javascript = scripts.asked
    assert (inline.language, inline.names, inline.limit_s) == (
        Language.JAVASCRIPT,
        {"output": "hi", "context": {"vars": {}}},
        3,
    )
    assert (python.function, python.path, python.arguments) == ("get_transform", Path("/r/t.py"), ("hi", {}))
    assert (javascript.function, javascript.path) == ("up", None)


@pytest.mark.parametrize("code", ["file://gone.js", "file://t.txt"])
async def test_a_transform_without_its_file_fails_like_a_script(code: str) -> None:
    with pytest.raises(ScriptFailed, match="the transform cannot be used"):
        await transform(Answers(1), code, "hi", {}, read=read)


class Sees:
    """An assertion that remembers what it was asked about."""

    async def judge(self, about: Any) -> Any:
        self.about = about
        return "judged"


@pytest.mark.parametrize(
    ("value", "output"),
    [
        ("text", "text"),
        ("", ""),
        ({"a": "é"}, '{"a":"é"}'),
        ([1, 2.5], "[1,2.5]"),
        (0, "0"),
        (True, "true"),
        (float("nan"), "null"),
    ],
)
async def test_an_assertion_looks_at_what_its_transform_made(value: Any, output: str) -> None:
    scripts, sees = Answers(value), Sees()
    spec = AssertionSpec(type="equals", value="x", transform="output")
    assertion = transformed(sees, spec, BuildContext(read=read))
    about = subject("hi", scripts=scripts, vars={"n": 1}, prompt="Say", metadata={"m": 1})
    assert (await assertion.judge(about)) == "judged"  # type: ignore[comparison-overlap]
    assert sees.about.output == output
    assert sees.about.value is None if isinstance(value, str) else sees.about.said is value
    context = {"vars": {"n": 1}, "prompt": {"label": "Say"}, "metadata": {"m": 1}}
    assert scripts.asked[0].names == {"output": "hi", "context": context}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(None, "the transform gave nothing"), (RAISED, "the transform failed: the script raised KeyError")],
)
async def test_a_transform_that_gives_nothing_is_unscored(answer: Any, reason: str) -> None:
    spec = AssertionSpec(type="equals", value="x", transform="output")
    assertion = transformed(Sees(), spec, BuildContext(read=read))
    score = (await assertion.judge(subject("hi", scripts=Answers(answer)))).score
    assert isinstance(score, Unscored)
    assert score.reason == reason


def test_no_transform_changes_nothing_and_a_missing_file_is_said_before_the_run() -> None:
    sees = Sees()
    assert transformed(sees, AssertionSpec(type="equals", value="x"), BuildContext(read=read)) is sees
    with pytest.raises(ConfigError):
        transformed(
            sees, AssertionSpec(type="equals", value="x", transform="file://gone.js"), BuildContext(read=read)
        )
