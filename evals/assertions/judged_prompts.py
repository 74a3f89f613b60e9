"""What a judge is sent: our orders, or a team's own `rubricPrompt` with the answer filled in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

import yaml

from promptship.evals.assertions.base import AssertionSpec, BuildContext, Dialect, invalid
from promptship.evals.assertions.judged_asking import NoVerdict, as_json
from promptship.evals.assertions.judged_orders import RUBRICS_VERSION, Messages, told
from promptship.evals.services import Language, Script, Services
from promptship.prompts.templates import render_text, template_error

Renderer = Callable[[str, Mapping[str, Any]], str]
FILE: Final = "file://"


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """Orders of one kind. `template`: a team's own, text or messages; None: ours, with the material kept apart as data."""

    order: str
    template: Any = None
    script: Script | None = None
    """Makes the template, when a promptfoo file names a JavaScript file."""
    render: Renderer | None = None
    """Fills the template; None: promptship's own."""
    promptfoo: bool = False
    version: str = RUBRICS_VERSION
    """Part of what is asked, so that it is in every digest of it."""

    @property
    def own(self) -> bool:
        """Whether a team's own orders replace ours; then the judge may answer in promptfoo's forms."""
        return self.template is not None or self.script is not None

    async def messages(
        self, services: Services, parts: Sequence[tuple[str, str]], values: Mapping[str, Any]
    ) -> Messages:
        """What to send. `parts`: for our orders; `values`: for a template. Raises NoVerdict, ScriptFailed."""
        if not self.own:
            return told(self.order, parts)
        template = self.template
        if self.script is not None:
            template = await services.scripts.run(self.script)
        if self.promptfoo:
            values = {name: _stringified(value) for name, value in values.items()}
        try:
            return self._filled(template, values)
        except Exception as error:  # noqa: BLE001 - an expression of a template may raise anything
            detail = f"{type(error).__name__}: {error}"
            raise NoVerdict("the rubric prompt cannot be rendered", detail) from None

    def _filled(self, template: Any, values: Mapping[str, Any]) -> Messages:
        render = self.render or render_text
        if isinstance(template, str) and self.promptfoo:
            template = _parsed(template)
        if not isinstance(template, str):
            return _as_messages(_leaves(template, lambda text: render(text, values)))
        filled = render(template, values)
        return _as_messages(_parsed(filled) if self.promptfoo else filled)


def orders(order: str, spec: AssertionSpec, context: BuildContext, template: Any = None) -> Orders:
    """Orders of a specification; `template` instead of its `rubricPrompt`, for types that have several.

    Raises:
        ConfigError: neither text nor messages, or no template.
    """
    template = spec.rubric_prompt if template is None else template
    promptfoo = context.dialect is Dialect.PROMPTFOO
    script = None
    if isinstance(template, str) and template.startswith(FILE):
        template, script = _file(template, context)
    if template in ("", [], {}):
        template = None
    if not promptfoo and template is not None:
        _check(template)
    return Orders(order=order, template=template, script=script, render=context.render, promptfoo=promptfoo)


def _file(reference: str, context: BuildContext) -> tuple[Any, Script | None]:
    name, _, function = reference.removeprefix(FILE).partition(":")
    suffix = PurePosixPath(name).suffix
    content = context.read(name)
    if suffix in {".js", ".cjs", ".mjs", ".ts"} and context.dialect is Dialect.PROMPTFOO:
        path = context.root / name if context.root else None
        script = Script(language=Language.JAVASCRIPT, code=content, path=path, function=function)
        return None, script
    if suffix not in {".json", ".yaml", ".yml"}:
        return content, None
    try:
        return yaml.safe_load(content), None
    except yaml.YAMLError as error:
        raise invalid(
            "rubricPrompt", reference, f"expected JSON or YAML: {str(error).splitlines()[0]}"
        ) from None


def _check(template: Any) -> None:
    """A native template is text, or a list of messages, and parses."""
    texts = [template]
    if isinstance(template, list):
        if not all(isinstance(item, dict) and {"role", "content"} <= item.keys() for item in template):
            raise invalid("rubricPrompt", repr(template)[:60], "expected messages with `role` and `content`")
        texts = [item["content"] for item in template]
    for text in texts:
        if not isinstance(text, str):
            raise invalid("rubricPrompt", repr(text)[:60], "expected text, or a list of messages")
        if (error := template_error(text)) is not None:
            raise invalid(
                "rubricPrompt", repr(text)[:60], f"expected a template, line {error[0]}: {error[1]}"
            )


def _stringified(value: Any) -> Any:
    """Objects as promptfoo's templates see them: as JSON; of a list, each item."""
    if isinstance(value, Mapping):
        return as_json(value)
    if isinstance(value, list | tuple):
        return [as_json(item) if isinstance(item, Mapping | list | tuple) else item for item in value]
    return value


def as_value(text: str) -> Any:
    """An answer as promptfoo's templates see it: parsed when it happens to be JSON."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _parsed(text: str) -> Any:
    """Messages that a text holds as JSON or YAML; anything else stays text."""
    stripped = text.lstrip()
    try:
        if stripped.startswith("- role:"):
            found = yaml.safe_load(text)
        elif stripped[:1] in {"[", "{"}:
            found = json.loads(text)
        else:
            return text
    except (ValueError, RecursionError, yaml.YAMLError):
        return text
    return found if isinstance(found, list | dict) else text


def _leaves(value: Any, fill: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return fill(value)
    if isinstance(value, list):
        return [_leaves(item, fill) for item in value]
    if isinstance(value, dict):
        return {key: _leaves(item, fill) for key, item in value.items()}
    return value


def _as_messages(filled: Any) -> Messages:
    if (
        isinstance(filled, list)
        and filled
        and all(isinstance(item, dict) and "role" in item for item in filled)
    ):
        return tuple(dict(item) for item in filled)
    return ({"role": "user", "content": filled if isinstance(filled, str) else as_json(filled)},)
