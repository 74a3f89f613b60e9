"""Prompts that are made by functions of JavaScript and Python, and by programs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from promptship.errors import ConfigError, Problem
from promptship.evals.promptfoo import javascript_text
from promptship.evals.promptfoo.calling import script_of
from promptship.evals.promptfoo.model import PromptSpec
from promptship.evals.promptfoo.terminal_text import without_sequences
from promptship.evals.services import Language, Script, ScriptFailed, Scripts

_LIMIT_S: Final = 60.0
_WHOLE_FILE: Final = """
import contextlib, io, runpy, sys
sys.argv = [path, context]
printed = io.StringIO()
with contextlib.redirect_stdout(printed):
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"exit status {end.code}") from None
return printed.getvalue()
"""
"""A Python file without a function: it prints the prompt, its context is the first argument."""


async def made_prompt(
    prompt: PromptSpec,
    variables: Mapping[str, Any],
    provider: Mapping[str, Any],
    scripts: Scripts,
    env: Mapping[str, str],
) -> tuple[str, Mapping[str, Any]]:
    """Text of the prompt, and what the function adds to its config.

    Raises:
        ScriptFailed: it failed, or took too long.
        ConfigError: it made something that is no prompt; the file is gone.
    """
    context = {"vars": dict(variables), "provider": dict(provider), "config": dict(prompt.config)}
    if prompt.command:
        return await _printed(prompt, javascript_text.json_text(context), env), {}
    path = prompt.path
    if path is None:
        return prompt.raw, {}
    if path.suffix == ".py" and not prompt.function:
        names = {"path": str(path), "context": javascript_text.json_text(context)}
        made = await scripts.run(
            Script(language=Language.PYTHON, code=_WHOLE_FILE, names=names, root=path.parent)
        )
        return str(made).removesuffix("\n"), {}
    reference = f"{path}:{prompt.function}" if prompt.function else str(path)
    return _prompt_of(await scripts.run(script_of(reference, Path("/"), (context,), python="")), path)


def _prompt_of(made: Any, path: Path) -> tuple[str, Mapping[str, Any]]:
    """A text, messages, or `{prompt, config}`."""
    if isinstance(made, str):
        return made, {}
    if isinstance(made, Mapping) and "prompt" in made:
        prompt, config = made["prompt"], made.get("config")
        text = prompt if isinstance(prompt, str) else javascript_text.json_text(prompt)
        return text, config if isinstance(config, Mapping) else {}
    if isinstance(made, Mapping | list):
        return javascript_text.json_text(made), {}
    expected = "expected the function to return a text, messages or {prompt, config}"
    raise ConfigError([Problem(str(path), "", javascript_text.text(made)[:60], expected)])


async def _printed(prompt: PromptSpec, context: str, env: Mapping[str, str]) -> str:
    """What a program of the user's own prints."""
    said = prompt.config.get("timeout")
    limit_s = said / 1000 if isinstance(said, int | float) and said > 0 else _LIMIT_S
    directory = prompt.config.get("basePath") or prompt.base
    try:
        process = await asyncio.create_subprocess_exec(
            *prompt.command, context, cwd=directory, env=dict(env) or None, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise ScriptFailed("the program of the prompt cannot be started", str(error)) from None
    try:
        async with asyncio.timeout(limit_s):
            out, errors = await process.communicate()
    except TimeoutError:
        raise ScriptFailed(f"the program of the prompt took more than {limit_s:g} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with all that it started: they hold its output open
            await process.wait()
    text, complaint = (without_sequences(part.decode("utf-8", "replace").strip()) for part in (out, errors))
    if process.returncode:
        raise ScriptFailed(f"the program of the prompt ended with status {process.returncode}", complaint)
    if complaint and not text:
        raise ScriptFailed("the program of the prompt printed errors only", complaint)
    return text
