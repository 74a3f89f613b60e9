"""Variables from outside: the process, `.env` files, `env:` of the configuration; and `{{ env.X }}` inside of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from promptship.errors import ConfigError, Problem
from promptship.evals.promptfoo import javascript_text
from promptship.evals.promptfoo.nunjucks import Nunjucks, TemplateError
from promptship.evals.promptfoo.yaml_text import Timestamp

_TRUE: Final = frozenset({"1", "true", "yes", "yup", "yeppers"})


def is_on(env: Mapping[str, str], name: str) -> bool:
    """Whether a switch such as PROMPTFOO_DISABLE_TEMPLATING is on."""
    return env.get(name, "").lower() in _TRUE


def with_env_files(env: Mapping[str, str], directory: Path, paths: Sequence[Path] = ()) -> dict[str, str]:
    """The environment with `.env` of a directory under it and the named files over it, later ones winning.

    Raises:
        ConfigError: a named file does not exist.
    """
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise ConfigError(
            Problem(str(path), "", "no such file", "expected a file of variables (envPath)")
            for path in missing
        )
    merged = {**_variables(directory / ".env"), **env}
    for path in paths:
        merged |= _variables(path)
    return merged


def _variables(path: Path) -> dict[str, str]:
    from dotenv import dotenv_values

    if not path.is_file():
        return {}
    try:
        return {
            name: value or ""
            for name, value in dotenv_values(path, interpolate=False, encoding="utf-8").items()
        }
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            [Problem(str(path), "", f"not readable ({error})", "expected text in UTF-8")]
        ) from None


def env_paths(options: Mapping[str, Any], base: Path) -> list[Path]:
    """Files of `commandLineOptions.envPath`: one, several, or several with commas between them."""
    said = options.get("envPath")
    texts = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    return [
        base / part.strip()
        for text in texts
        if isinstance(text, str)
        for part in text.split(",")
        if part.strip()
    ]


def visible_env(env: Mapping[str, str], own: Mapping[str, Any]) -> dict[str, str]:
    """What templates see as `env`: the environment, unless that is switched off, and `env:` of the configuration over it."""
    hidden = is_on(env, "PROMPTFOO_DISABLE_TEMPLATE_ENV_VARS") or (
        "PROMPTFOO_DISABLE_TEMPLATE_ENV_VARS" not in env and is_on(env, "PROMPTFOO_SELF_HOSTED")
    )
    seen = {} if hidden else dict(env)
    return seen | {name: javascript_text.text(value) for name, value in own.items() if value is not None}


def render_env(value: Any, env: Mapping[str, str], *, enabled: bool = True) -> Any:
    """A value with the tags filled in that use `env`; all others stay, and so do those whose variable is not set.

    An unquoted date becomes an empty object, as promptfoo makes it.
    """
    if not enabled:
        return value
    return _rendered(value, env, Nunjucks(), {})


def _rendered(value: Any, env: Mapping[str, str], renderer: Nunjucks, done: dict[int, Any]) -> Any:
    """`done` keeps what is shared between anchors shared."""
    if isinstance(value, Timestamp):
        return {}
    if isinstance(value, str):
        return _with_tags_filled(value, env, renderer) if "{{" in value else value
    if not isinstance(value, dict | list):
        return value
    if id(value) not in done:
        if isinstance(value, list):
            done[id(value)] = [_rendered(item, env, renderer, done) for item in value]
        else:
            done[id(value)] = {
                key: item if key == "_conversation" else _rendered(item, env, renderer, done)
                for key, item in value.items()
            }
    return done[id(value)]


def _with_tags_filled(text: str, env: Mapping[str, str], renderer: Nunjucks) -> str:
    """Each tag reaches from its `{{` to the first `}}`, whatever is between them."""
    made, at = [], 0
    while (start := text.find("{{", at)) >= 0 and (end := text.find("}}", start + 2)) >= 0:
        made += [text[at:start], _filled(text[start : end + 2], env, renderer)]
        at = end + 2
    return "".join(made) + text[at:]


def _filled(tag: str, env: Mapping[str, str], renderer: Nunjucks) -> str:
    """The tag's value if the first variable it takes from `env` is set, or if a filter can do something about one that is not."""
    try:
        use = renderer.use_of(tag, "env") if "env" in tag else None
        if use is None or not (use.filtered or (use.keys and use.keys[0] in env)):
            return tag
        return renderer.render(tag, {"env": env})
    except TemplateError:
        return tag
