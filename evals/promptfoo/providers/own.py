"""Providers that are the user's own code: Python, JavaScript and Ruby files, and programs."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from promptship.chat import ChatAnswer
from promptship.errors import Unavailable
from promptship.evals.promptfoo.calling import split_function
from promptship.evals.promptfoo.javascript_text import json_text
from promptship.evals.promptfoo.model import CallContext, ProviderSpec
from promptship.evals.promptfoo.providers.base import Tools, digest_of, merged, wrong
from promptship.evals.promptfoo.providers.hosting import ANSWER_BYTES_MAX, Program, ProviderFailed
from promptship.evals.promptfoo.providers.own_answers import own_answer, own_error
from promptship.evals.services import Language, Script, ScriptFailed, Scripts
from promptship.evals.units import Asking

PYTHON: Final = frozenset({".py"})
JAVASCRIPT: Final = frozenset({".js", ".cjs", ".mjs", ".ts", ".cts", ".mts"})
RUBY: Final = frozenset({".rb"})
_LINES_MAX: Final = 6
"""Of what a program that failed wrote."""
_SECRET_NAMES: Final = ("KEY", "TOKEN", "SECRET", "PASSWORD")
_EMBEDDED: Final = """
const exported = require(file);
const found = name ? exported[name] : (exported && exported.default) || exported;
let provider = found;
if (typeof found === "function" && found.prototype) provider = new found(options);
if (provider && typeof provider.callApi === "function") return provider.callApi(prompt, context, {});
return found(prompt, context, options);
"""
"""For machines without Node.js: the embedded engine, which has no network."""
_IDENTITY: Final = """
const exported = require(file);
const found = name ? exported[name] : (exported && exported.default) || exported;
if (typeof found !== "function" || !found.prototype) return null;
const provider = new found(options);
return typeof provider.id === "function" ? provider.id() : provider.id;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What all of them share."""

    spec: ProviderSpec
    id: str
    tools: Tools

    @property
    def label(self) -> str:
        """Label, or id."""
        return self.spec.label or self.id

    @property
    def config(self) -> Mapping[str, Any]:
        """As configured."""
        return self.spec.config

    @property
    def timeout_s(self) -> float:
        """Of one call."""
        given = self.spec.config.get("timeout")
        return float(given) / 1000 if isinstance(given, int | float) and given > 0 else self.tools.timeout_s

    def options(self) -> dict[str, Any]:
        """The provider as its own code gets it; what prompt and test configure stands in the context."""
        config = {"basePath": str(self.spec.base), **self.spec.config}
        return {"id": self.spec.id, "config": config, "env": dict(self.spec.env)}

    def context(self, context: CallContext) -> dict[str, Any]:
        """The call as its own code gets it."""
        prompt = {
            "raw": context.prompt_raw, "label": context.prompt_label, "config": dict(context.prompt_config),
            "template": context.prompt_raw,
        }  # fmt: skip
        return {
            "vars": dict(context.vars), "prompt": prompt, "test": dict(context.test), "repeatIndex": context.trial,
            "testIdx": context.test_index, "evaluationId": context.run_id,
        }  # fmt: skip

    def secrets(self) -> tuple[str, ...]:
        """Values of the environment that no message may show."""
        env = self.tools.env
        return tuple(
            value for name, value in env.items() if any(part in name.upper() for part in _SECRET_NAMES)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedProvider(Own):
    """A Python file, or a JavaScript file where there is Node.js: in a process of its own, with the user's environment.

    Its answers are not kept, as in promptfoo: what its code imports and asks is what the suite is there to test.
    """

    program: Program
    function: str
    workers: int = 1

    async def call(self, prompt: str, context: CallContext, asking: Asking, scripts: Scripts) -> ChatAnswer:
        """See `Provider`."""
        del scripts
        options, told = self.options(), self.context(context)
        is_python = self.program.kind == "python"
        arguments = (prompt, options, told) if is_python else (prompt, told, options)

        async def once() -> ChatAnswer:
            began = time.perf_counter()
            try:
                given = await self.tools.hosts.call(
                    self.program, self.function, arguments, timeout_s=self.timeout_s, workers=self.workers
                )
            except ProviderFailed as error:
                raise own_error(self.label, str(error), self.secrets()) from None
            latency_ms = (time.perf_counter() - began) * 1000
            return own_answer(
                given, who=self.label, latency_ms=latency_ms, secrets=self.secrets(), bare=not is_python
            )

        return await asking.answer(self.label, once)

    async def identified(self, scripts: Scripts) -> HostedProvider:
        """With the id that a class in JavaScript gives itself: results show it by that."""
        del scripts
        if self.program.kind != "node":
            return self
        options = self.options()
        try:
            name = await self.tools.hosts.identify(
                self.program, self.function, options, timeout_s=self.timeout_s, workers=self.workers
            )
        except (ProviderFailed, Unavailable):
            return self  # its first call says why
        return replace(self, id=name or self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptProvider(Own):
    """A Ruby file, or a JavaScript file where there is no Node.js: as assertions run, without network."""

    path: Path
    language: Language
    function: str

    async def call(self, prompt: str, context: CallContext, asking: Asking, scripts: Scripts) -> ChatAnswer:
        """See `Provider`."""
        code = _content(self.path)
        script = self._script(code.decode(errors="replace"), prompt, context)

        async def once() -> ChatAnswer:
            began = time.perf_counter()
            try:
                given = await scripts.run(script)
            except ScriptFailed as error:
                raise own_error(self.label, str(error), self.secrets()) from None
            latency_ms = (time.perf_counter() - began) * 1000
            is_javascript = self.language is Language.JAVASCRIPT
            return own_answer(given, who=self.label, latency_ms=latency_ms, bare=is_javascript)

        return await asking.answer(self.label, once)

    async def identified(self, scripts: Scripts) -> ScriptProvider:
        """As `HostedProvider.identified`."""
        if self.language is not Language.JAVASCRIPT:
            return self
        names = {"file": f"./{self.path.name}", "name": self.function, "options": self.options()}
        script = Script(
            language=self.language, code=_IDENTITY, names=names, root=self.path.parent, limit_s=self.timeout_s
        )
        try:
            name = await scripts.run(script)
        except ScriptFailed:
            return self  # its first call says why
        return replace(self, id=name) if isinstance(name, str) and name else self

    def _script(self, code: str, prompt: str, context: CallContext) -> Script:
        options, told = self.options(), self.context(context)
        if self.language is Language.JAVASCRIPT:
            names = {
                "file": f"./{self.path.name}",
                "name": self.function,
                "prompt": prompt,
                "context": told,
                "options": options,
            }
            return Script(
                language=self.language,
                code=_EMBEDDED,
                names=names,
                root=self.path.parent,
                limit_s=self.timeout_s,
            )
        return Script(
            language=self.language, code=code, path=self.path, function=self.function, arguments=(prompt, options, told),
            root=self.path.parent, limit_s=self.timeout_s,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecProvider(Own):
    """`exec:`: a program that gets prompt, options and context as its last three arguments and answers on standard output."""

    command: tuple[str, ...]

    async def call(self, prompt: str, context: CallContext, asking: Asking, scripts: Scripts) -> ChatAnswer:
        """See `Provider`."""
        del scripts
        more = (prompt, json_text(self.options()), json_text(self.context(context)))

        async def once() -> ChatAnswer:
            began = time.perf_counter()
            status, said, complained = await _run(
                (*self.command, *more), self.spec.base, self.tools.env, self.timeout_s
            )
            if status != 0:
                told = _last_lines(complained or said)
                raise own_error(self.label, f"exit status {status}: {told}", self.secrets())
            if not said and complained:
                told = f"nothing on standard output: {_last_lines(complained)}"
                raise own_error(self.label, told, self.secrets())
            return ChatAnswer(text=said, latency_ms=(time.perf_counter() - began) * 1000)

        return await asking.answer(self.label, once, key=self._key(prompt, context))

    def _key(self, prompt: str, context: CallContext) -> str:
        """Content address of a call: the files that the command names are part of it."""
        named = [self.spec.base / part for part in self.command]
        files = b"".join(_content(path) for path in named if path.is_file())
        varied = {name: value for name, value in context.vars.items() if not name.startswith("__")}
        return digest_of(self.spec.id, files, prompt, merged(self.spec, context), varied, context.trial)


def _last_lines(text: str) -> str:
    """What a program said last: there stands why it failed."""
    return "\n".join(text.splitlines()[-_LINES_MAX:])


async def _run(
    command: tuple[str, ...], workdir: Path, env: Mapping[str, str], timeout_s: float
) -> tuple[int, str, str]:
    """Status, standard output and the end of standard error. Raises Unavailable: not in time, not to be started."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=workdir, env=dict(env), stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, start_new_session=True
        )  # fmt: skip
    except OSError as error:
        raise Unavailable(f"{command[0]} does not start ({error.strerror})") from None
    try:
        async with asyncio.timeout(timeout_s):
            said, complained = await asyncio.gather(_bounded(process.stdout), _bounded(process.stderr))
            status = await process.wait()
    except TimeoutError:
        raise Unavailable(f"{command[0]} did not answer within {timeout_s:g} s") from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # also what it left behind
        await process.wait()
    return status, said.decode(errors="replace").strip(), complained.decode(errors="replace").strip()


async def _bounded(stream: asyncio.StreamReader | None) -> bytes:
    content = bytearray()
    while stream is not None and (piece := await stream.read(65_536)):
        content += piece
        if len(content) > ANSWER_BYTES_MAX:
            raise Unavailable(f"a program wrote more than {ANSWER_BYTES_MAX:,} bytes")
    return bytes(content)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def make_exec(spec: ProviderSpec, tools: Tools) -> ExecProvider:
    """The provider of an `exec:` id. Raises ConfigError: no command."""
    try:
        command = tuple(shlex.split(spec.id.removeprefix("exec:").strip()))
    except ValueError as error:
        raise wrong(spec, "", repr(spec.id), f"expected a command: {error}") from None
    if not command:
        raise wrong(spec, "", repr(spec.id), "expected exec:<program> and its arguments")
    beside = spec.base / command[0]
    if beside.is_file() and os.access(beside, os.X_OK):
        command = (str(beside.resolve()), *command[1:])
    elif shutil.which(command[0], path=tools.env.get("PATH")) is None:
        raise wrong(
            spec,
            "",
            repr(command[0]),
            "expected a program that is there and can be run",
            "check the path, and chmod +x",
        )
    return ExecProvider(spec=spec, id=spec.id, tools=tools, command=command)


def make_file(spec: ProviderSpec, tools: Tools, reference: str) -> HostedProvider | ScriptProvider:
    """The provider in a file. Raises ConfigError: no such file, or none of a language that can be run."""
    name, function = split_function(reference)
    path = (spec.base / name).resolve()
    if not path.is_file():
        raise wrong(spec, "", str(path), "expected a file that is there")
    env = tuple(sorted(tools.env.items()))
    workers = spec.config.get("workers") or tools.env.get("PROMPTFOO_PYTHON_WORKERS") or 1
    if path.suffix in PYTHON:
        program = Program("python", _python(spec, tools), path, Path.cwd(), env)
        return HostedProvider(
            spec=spec, id=spec.shown(f"python:{os.path.normpath(name)}:{function or 'default'}"), tools=tools, program=program, function=function or "call_api",
            workers=int(workers),
        )  # fmt: skip
    if path.suffix in RUBY:
        return ScriptProvider(
            spec=spec, id=spec.shown(f"ruby:{os.path.normpath(name)}:{function or 'default'}"), tools=tools, path=path, language=Language.RUBY,
            function=function or "call_api",
        )  # fmt: skip
    if path.suffix not in JAVASCRIPT:
        raise wrong(spec, "", repr(reference), "expected a file in Python, JavaScript or Ruby")
    node = shutil.which("node", path=tools.env.get("PATH"))
    if node is None:
        return ScriptProvider(
            spec=spec, id=spec.id, tools=tools, path=path, language=Language.JAVASCRIPT, function=function
        )
    program = Program("node", node, path, Path.cwd(), env)
    return HostedProvider(
        spec=spec, id=spec.id, tools=tools, program=program, function=function, workers=int(workers)
    )


def _python(spec: ProviderSpec, tools: Tools) -> str:
    """The user's Python: as configured, the first on the PATH, or ours."""
    given = spec.config.get("pythonExecutable") or tools.env.get("PROMPTFOO_PYTHON")
    if given:
        found = shutil.which(str(given), path=tools.env.get("PATH"))
        if found is None:
            raise wrong(spec, "config.pythonExecutable", repr(str(given)), "expected a Python that is there")
        return found
    for name in ("python3", "python"):
        found = shutil.which(name, path=tools.env.get("PATH"))
        if found is not None:
            return found
    return sys.executable
