"""Prompt + variables -> what the model is sent, as promptfoo does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from promptship.evals.promptfoo import javascript_text
from promptship.evals.promptfoo.environment import is_on
from promptship.evals.promptfoo.file_vars import load_file_vars
from promptship.evals.promptfoo.model import PromptSpec
from promptship.evals.promptfoo.nunjucks import Nunjucks, TemplateError
from promptship.evals.promptfoo.nunjucks.running import CHARS_MAX
from promptship.evals.promptfoo.nunjucks.scanning import Tag
from promptship.evals.promptfoo.placeholders import first_placeholder, is_unfinished, used_names
from promptship.evals.promptfoo.prompt_functions import made_prompt
from promptship.evals.services import Scripts

_PASSES: Final = 5
"""How deep variables may stand in variables."""
_JSON_STARTS: Final = frozenset('{["-0123456789tfn')


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A prompt ready to be sent."""

    text: str
    config: Mapping[str, Any] = field(default_factory=dict)
    """The prompt's own, with what its function adds."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What its function adds, alone."""
    vars: Mapping[str, Any] = field(default_factory=dict)
    """As they were filled in: files read, variables in variables resolved."""


async def render_prompt(
    prompt: PromptSpec,
    variables: Mapping[str, Any],
    *,
    provider_id: str,
    provider_label: str,
    config: Mapping[str, Any] | None = None,
    renderer: Nunjucks,
    scripts: Scripts,
    env: Mapping[str, str],
    base: Path,
) -> Rendered:
    """The text for one row: files of variables, the prompt's function, variables in variables, then the template.

    A prompt that is JSON stays JSON: its strings are rendered one by one. `config`: the provider's, which functions of
    variables see.

    Raises:
        TemplateError: a template is wrong, or cannot work with these variables.
        ConfigError: a file of a variable is missing or broken, a function made something else than a prompt.
        ScriptFailed: a function or program failed.
    """
    own = dict(variables)
    provider = {"id": provider_id, "label": provider_label}
    if any(isinstance(value, str) and value.startswith(("file://", "package:")) for value in own.values()):
        seen = {**provider, "config": dict(config or {})}
        await load_file_vars(own, prompt.raw, seen, scripts, env, base)
    text = prompt.raw
    more: Mapping[str, Any] = {}
    if prompt.is_function:
        text, more = await made_prompt(prompt, own, provider, scripts, env)
    _resolve(own)
    rendered = await _rendered(
        text, own, renderer, json_aware=not is_on(env, "PROMPTFOO_DISABLE_JSON_AUTOESCAPE")
    )
    return Rendered(text=rendered, config={**prompt.config, **more}, more=more, vars=own)


def render_object(value: Any, variables: Mapping[str, Any], renderer: Nunjucks) -> Any:
    """A value with every text inside of it rendered, as in a provider's config; names stay. Raises TemplateError."""
    if isinstance(value, str):
        return renderer.render(value, variables)
    if isinstance(value, Mapping):
        return {name: render_object(item, variables, renderer) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [render_object(item, variables, renderer) for item in value]
    return value


def _resolve(variables: dict[str, Any]) -> None:
    """One newline at the end of a text goes; `{{ name }}` in a text becomes that variable, in at most five passes."""
    nested = False
    for name, value in variables.items():
        if isinstance(value, str):
            if value.endswith("\n"):
                variables[name] = value[:-1]
            nested = nested or "{{" in value
    passes = 0
    while nested and passes < _PASSES:
        nested = False
        passes += 1
        for name, value in variables.items():
            tag = first_placeholder(value) if isinstance(value, str) else None
            if tag is not None and tag.content in variables:
                filled = _replaced(value, tag, javascript_text.text(variables[tag.content]))
                if len(filled) > CHARS_MAX:
                    raise TemplateError(f"variables in variables make more than {CHARS_MAX:,} characters")
                variables[name] = filled
                nested = True


def _replaced(text: str, tag: Tag, value: str) -> str:
    """The text with a value in place of a tag; in the value `$&` and its like stand for parts of the text.

    They do so in every replacement that JavaScript makes: ECMA-262, GetSubstitution.
    """
    before, after = text[: tag.start], text[tag.end :]
    meanings = {"$": "$", "&": text[tag.start : tag.end], "`": before, "'": after}
    made, at = [before], 0
    while (dollar := value.find("$", at)) >= 0:
        meaning = meanings.get(value[dollar + 1 : dollar + 2])
        made += [value[at:dollar], "$" if meaning is None else meaning]
        at = dollar + (1 if meaning is None else 2)
    return "".join([*made, value[at:], after])


async def _rendered(text: str, variables: Mapping[str, Any], renderer: Nunjucks, *, json_aware: bool) -> str:
    if json_aware:
        data = _json(text)
        if data is not _NO_JSON:
            try:
                # promptfoo's own filters are not known here: a prompt that uses one is rendered as text.
                return javascript_text.json_text(render_object(data, variables, renderer.plain()), 2)
            except TemplateError:
                pass
    else:
        try:
            return await renderer.render_async(_closed(text), variables)
        except TemplateError:
            pass
    filled = dict(variables)
    for name, value in variables.items():
        if isinstance(value, str) and "{" in value and not _uses_unknown(value, variables):
            filled[name] = await renderer.render_async(_closed(value), variables)
    return await renderer.render_async(_closed(text), filled)


_NO_JSON: Final = object()


def _json(text: str) -> Any:
    start = text.lstrip(" \t\r\n")[:1]
    return _parsed(text) if start in _JSON_STARTS and start else _NO_JSON


@lru_cache(maxsize=256)
def _parsed(text: str) -> Any:
    """Never changed by those who get it."""
    try:
        return javascript_text.parse_json(text)
    except (ValueError, RecursionError):
        return _NO_JSON


def _closed(text: str) -> str:
    """A text with a tag that is never closed is no template."""
    return f"{{% raw %}}{text}{{% endraw %}}" if is_unfinished(text) else text


def _uses_unknown(text: str, variables: Mapping[str, Any]) -> bool:
    """Whether a variable's text uses a variable that there is not: such a text stays as it is."""
    return any(name != "env" and name not in variables for name in used_names(text))
