"""Providers that are the user's own code: what they get, what they may return, and what becomes of those that misbehave."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from promptship.errors import ConfigError, Unavailable
from promptship.evals.promptfoo.model import Identified
from promptship.evals.promptfoo.providers.own_answers import OWN_FAILED
from promptship.evals.scripts.pool import ScriptPool
from promptship.evals.services import ScriptFailed
from tests.support.loopback import hangs
from tests.support.promptfoo_providers import bench

pytestmark = pytest.mark.slow

PYTHON = """
import os, sys, time, neighbour
count = 0

def call_api(prompt, options, context):
    global count
    count += 1
    print("talk")
    return {
        "output": f"{prompt}|{options['config'].get('a')}|{context['vars'].get('x')}|{os.environ.get('MINE')}|{count}",
        "tokenUsage": {"prompt": 1, "completion": 2, "cached": 0}, "cost": 0.5, "metadata": {"m": 1}, "finishReason": "stop",
        "guardrails": {"flagged": True},
    }

async def later(prompt, options, context):
    return {"output": {"said": prompt}}

def fails(prompt, options, context):
    return {"error": "no, key is " + os.environ["MY_API_KEY"]}

def inner():
    raise ValueError("boom " + os.environ["MY_API_KEY"])

def raises(prompt, options, context):
    inner()

def text(prompt, options, context):
    return prompt

def nothing(prompt, options, context):
    return None

def sleeps(prompt, options, context):
    time.sleep(60)

def dies(prompt, options, context):
    os._exit(3)

def leaves(prompt, options, context):
    sys.exit("bye")

def odd(prompt, options, context):
    return {"output": "x", "cost": float("nan"), "tokenUsage": {"prompt": -1, "completion": "many"}, "logProbs": [-0.5, "x"]}
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "p.py").write_text(PYTHON)
    (tmp_path / "neighbour.py").write_text("")
    (tmp_path / "broken.py").write_text("def call_api(:\n")
    return tmp_path


ENV = {"MINE": "here", "MY_API_KEY": "very-s3cret-key", "PROMPTFOO_PYTHON": sys.executable}


async def test_a_python_provider_lives_on_between_calls(directory: Path) -> None:
    async with bench(hangs, directory, env=ENV) as one:
        provider = one.make("file://p.py", a=7)
        answers = [await one.ask(provider, "hi", vars={"x": 8}) for _ in range(2)]
        other = await one.ask(one.make("python:p.py:later"), "hi")
    assert [answer.text for answer in answers] == ["hi|7|8|here|1", "hi|7|8|here|2"]
    first = answers[0]
    assert (first.tokens_in, first.tokens_out, first.cost_usd, first.metadata) == (1, 2, 0.5, {"m": 1})
    assert (first.finish_reason, first.flagged) == ("stop", {"input": False, "output": True})
    assert (other.value, other.text) == ({"said": "hi"}, '{"said":"hi"}')
    assert (provider.id, one.asking.keys) == ("file://p.py", ["", "", ""])  # nothing of it is kept


@pytest.mark.parametrize(
    ("function", "why"),
    [
        ("fails", r"file://p\.py:fails: no, key is \[redacted\]"),
        ("raises", r"ValueError: boom \[redacted\] \| p\.py:\d+ in inner: raise ValueError.* \| p\.py:\d+ in raises: inner\(\)"),
        ("text", "returned str without `output`"), ("nothing", "returned nothing"), ("leaves", "SystemExit: bye"),
        ("missing", "no function missing"),
    ],
)  # fmt: skip
async def test_what_goes_wrong_in_it_is_told_as_its_own_failure_without_secrets(
    directory: Path, function: str, why: str
) -> None:
    async with bench(hangs, directory, env=ENV) as one:
        with pytest.raises(ScriptFailed, match=why) as caught:
            await one.ask(one.make(f"file://p.py:{function}"))
        assert caught.value.reason == OWN_FAILED
        assert "s3cret" not in str(caught.value)
        assert (await one.ask(one.make("file://p.py"))).text  # the process goes on


async def test_a_process_that_dies_or_hangs_is_replaced(directory: Path) -> None:
    async with bench(hangs, directory, env=ENV) as one:
        with pytest.raises(Unavailable, match="ended without an answer"):
            await one.ask(one.make("file://p.py:dies"))
        with pytest.raises(Unavailable, match=r"within 0\.5 s"):
            await one.ask(one.make("file://p.py:sleeps", timeout=500))
        assert (await one.ask(one.make("file://p.py"))).text.endswith("|1")


async def test_odd_numbers_are_unknown_numbers(directory: Path) -> None:
    async with bench(hangs, directory, env=ENV) as one:
        answer = await one.ask(one.make("file://p.py:odd"))
    assert (answer.cost_usd, answer.tokens_in, answer.tokens_out, answer.logprobs) == (
        None,
        None,
        None,
        (-0.5,),
    )


async def test_a_file_that_is_no_python_or_not_there(directory: Path) -> None:
    async with bench(hangs, directory, env=ENV) as one:
        with pytest.raises(ScriptFailed, match=r"SyntaxError.*line 1 of broken\.py"):
            await one.ask(one.make("file://broken.py"))
        with pytest.raises(ConfigError, match="a file that is there"):
            one.make("file://none.py")
        with pytest.raises(ConfigError, match="a Python that is there"):
            one.make("file://p.py", pythonExecutable="python-of-nobody")


async def test_the_key_of_a_program_depends_on_its_files(directory: Path) -> None:
    (directory / "p.sh").write_text("echo one")
    async with bench(hangs, directory, env=ENV) as one:
        provider = one.make("exec:sh p.sh")
        await one.ask(provider)
        (directory / "p.sh").write_text("echo two")
        await one.ask(provider)
        await one.ask(provider, vars={"x": 1})
        await one.ask(provider, vars={"__evalId": "another run"})
    code, changed, varied, run = one.asking.keys
    assert len({code, changed, varied}) == 3
    assert run == changed


EXEC = '#!/bin/sh\nsleep "${SLEEP:-0}"\necho "  $#|$1|$2  "\necho complained >&2\nexit "${STATUS:-0}"\n'


async def test_a_program_gets_its_arguments_and_the_prompt(tmp_path: Path) -> None:
    program = tmp_path / "run.sh"
    program.write_text(EXEC)
    program.chmod(0o755)
    async with bench(hangs, tmp_path) as one:
        answer = await one.ask(one.make("exec:./run.sh 'a b'"), 'say "hi"; rm -rf $HOME')
        assert answer.text == '4|a b|say "hi"; rm -rf $HOME'
        with pytest.raises(ScriptFailed, match=r"own code failed.*exit status 3: complained"):
            await one.ask(one.make("exec:./run.sh", env={"STATUS": "3"}))
        with pytest.raises(ConfigError, match="can be run"):
            one.make("exec:./nobody.sh")
        with pytest.raises(ConfigError, match="a command"):
            one.make("exec:'unclosed")
        with pytest.raises(Unavailable, match=r"within 0\.2 s"):
            await one.ask(one.make("exec:./run.sh", env={"SLEEP": "60"}, timeout=200))


JAVASCRIPT = """
class Mine {
  constructor(options) { this.options = options; }
  id() { return "mine"; }
  async callApi(prompt, context) {
    return { output: prompt + "|" + this.options.config.a + "|" + context.vars.x, tokenUsage: { prompt: 1, completion: 2 } };
  }
}
module.exports = Mine;
module.exports.named = (prompt) => ({ output: { said: prompt } });
module.exports.fails = () => { throw new Error("boom"); };
"""


@pytest.mark.parametrize("engine", ["node", "embedded"])
async def test_a_javascript_provider(tmp_path: Path, engine: str) -> None:
    (tmp_path / "p.js").write_text(JAVASCRIPT)
    node = shutil.which("node")
    if engine == "node" and node is None:
        pytest.skip("Node.js is not installed")
    path = str(Path(node).parent) if engine == "node" and node else str(tmp_path)
    async with ScriptPool(1) as scripts, bench(hangs, tmp_path, env={"PATH": path}) as one:
        one.scripts = scripts
        answer = await one.ask(one.make("file://p.js", a=7), "hi", vars={"x": 8})
        assert (answer.text, answer.tokens_in, answer.tokens_out) == ("hi|7|8", 1, 2)
        assert (await one.ask(one.make("file://p.js:named"), "hi")).value == {"said": "hi"}
        with pytest.raises(ScriptFailed, match="boom"):
            await one.ask(one.make("file://p.js:fails"))
        named = one.make("file://p.js")
        assert isinstance(named, Identified)
        assert (await named.identified(scripts)).id == "mine"
        plain = one.make("file://p.js:named")
        assert isinstance(plain, Identified)
        assert (
            await plain.identified(scripts)
        ).id == "file://p.js:named"  # a function has no name of its own


async def test_no_process_is_left_behind(directory: Path) -> None:
    async with bench(hangs, directory, env=ENV) as one:
        await one.ask(one.make("file://p.py"))
        pools: Any = one.providers.tools.hosts._pools
        processes = [host._process for pool in pools.values() for host in pool._idle]
        assert [process.returncode for process in processes] == [None]
    assert [process.returncode is not None for process in processes] == [True]
