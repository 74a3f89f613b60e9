"""Configurations, prompts, variables and filters that are scripts, in real processes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from promptship.evals.promptfoo.loading import load
from promptship.evals.promptfoo.nunjucks import Nunjucks
from promptship.evals.promptfoo.own_filters import load_filters
from promptship.evals.promptfoo.rendering import render_prompt
from promptship.evals.scripts.pool import ScriptPool

pytestmark = pytest.mark.system

FILES = {
    "promptfooconfig.js": "const base = require('./base.json')\nmodule.exports = {...base, nunjucksFilters: {wrap: 'wrap.js'}}",
    "base.json": """{"providers": ["echo"], "prompts": [
        "{{ n | wrap('!') }} {{ v }} {{ w }}", "f.js:make", "f.py:make", "whole.py", "exec:run.sh"]}""",
    "wrap.js": "module.exports = (text, end) => `<${text}${end}>`",
    "f.js": "module.exports = { make: ({vars}) => [{role: 'user', content: `js {{ n }} ${vars.n}`}] }",
    "f.py": "def make(context):\n    return {'prompt': 'py ' + context['provider']['id'], 'config': {'t': 1}}\n",
    "whole.py": "import json, sys\nprint('whole', json.loads(sys.argv[1])['vars']['n'])\n",
    "run.sh": "#!/bin/sh\necho program $#\n",
    "v.py": "def get_var(name, prompt, vars):\n    return {'output': name + vars['n']}\n",
    "w.js": "module.exports = (name, prompt, vars) => ({output: name + vars.v})",
}


async def _rendered(directory: Path) -> list[Any]:
    async with ScriptPool(1) as scripts:
        config = await load([], directory=directory, env={"PATH": "/usr/bin:/bin"}, scripts=scripts)
        renderer = Nunjucks(awaited=load_filters(config.nunjucks_filters, base=config.base, scripts=scripts))
        return [
            await render_prompt(
                prompt,
                {"n": "Ann", "v": "file://v.py", "w": "file://w.js"},
                provider_id="echo",
                provider_label="",
                renderer=renderer,
                scripts=scripts,
                env=config.environment,
                base=config.base,
            )
            for prompt in config.prompts
        ]


def test_scripts_of_all_kinds_take_part(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "run.sh").chmod(0o755)
    template, javascript, python, whole, program = asyncio.run(_rendered(tmp_path))
    assert template.text == "<Ann!> vAnn wvAnn"
    assert javascript.text == '[\n  {\n    "role": "user",\n    "content": "js Ann Ann"\n  }\n]'
    assert (python.text, python.config) == ("py echo", {"t": 1})
    assert whole.text == "whole Ann"
    assert program.text == "program 1"
