"""`file://` in a value: the text or data of a file beside the suite, or what a script of it makes of the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

from promptship.errors import ConfigError
from promptship.evals.assertions.base import Assertion, AssertionSpec, BuildContext, invalid
from promptship.evals.assertions.script_source import FILE, LANGUAGES, Source, file_source, script_context
from promptship.evals.assertions.sets import negated
from promptship.evals.score import Judged, Subject, Unscored, unscored
from promptship.evals.services import ScriptFailed


def loaded(spec: AssertionSpec, context: BuildContext) -> AssertionSpec:
    """The specification with data files in place of their names, in `value` itself or in a list. Raises ConfigError."""
    value = spec.value
    if isinstance(value, str) and value.startswith(FILE) and not _is_script(value):
        return spec.model_copy(update={"value": _content(value, context)})
    if isinstance(value, list) and any(isinstance(item, str) and item.startswith(FILE) for item in value):
        items = [
            _content(item, context) if isinstance(item, str) and item.startswith(FILE) else item
            for item in value
        ]
        return spec.model_copy(update={"value": items})
    return spec


def _is_script(reference: str) -> bool:
    name, _, _ = reference.removeprefix(FILE).partition(":")
    return PurePosixPath(name).suffix in LANGUAGES


def _content(reference: str, context: BuildContext) -> Any:
    name = reference.removeprefix(FILE)
    suffix = PurePosixPath(name).suffix
    if suffix not in {".json", ".yaml", ".yml", ".txt", ".md"}:
        raise invalid(
            "value", reference, "expected a file that ends in .json, .yaml, .txt, .md, .js, .py or .rb"
        )
    text = context.read(name)
    try:
        if suffix == ".json":
            return json.loads(text)
        if suffix in {".yaml", ".yml"}:
            return yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        what = str(error).splitlines()[0]
        raise invalid("value", reference, f"expected {suffix[1:].upper()}: {what}") from None
    return text.strip()


@dataclass(frozen=True, slots=True)
class Computed:
    """An assertion whose value a script makes of the answer: `function(output, context)`."""

    source: Source
    make: Callable[[Any], Assertion]
    """The assertion of a value. Raises ConfigError."""
    config: Mapping[str, Any] | None

    async def judge(self, subject: Subject) -> Judged:
        """A script that fails, or gives a verdict in place of a value, makes it Unscored."""
        return await self._judged(subject, opposite=False)

    async def judge_opposite(self, subject: Subject) -> Judged:
        """The opposite of what the value demands."""
        return await self._judged(subject, opposite=True)

    async def _judged(self, subject: Subject, *, opposite: bool) -> Judged:
        call = self.source.call(subject.said, script_context(subject, self.config))
        try:
            value = await subject.services.scripts.run(call)
            if isinstance(value, bool) or (isinstance(value, Mapping) and "pass" in value):
                return Judged(Unscored("the script gave a verdict, expected the value to compare with"))
            assertion = self.make(value)
        except ScriptFailed as error:
            return Judged(unscored(error))
        except ConfigError as error:
            return Judged(Unscored("the script gave a value that the assertion cannot use", str(error)))
        return await (negated(assertion) if opposite else assertion).judge(subject)


def computed(
    spec: AssertionSpec, context: BuildContext, make: Callable[[AssertionSpec], Assertion]
) -> Computed | None:
    """The assertion when its value is made by a script; None: it is not. Raises ConfigError."""
    if not isinstance(spec.value, str) or not spec.value.startswith(FILE):
        return None
    source = file_source(spec.value, context.read, context.root, "get_assert")
    if source is None:
        raise invalid("value", spec.value, "expected file://name or file://name:function")
    return Computed(source, lambda value: make(spec.model_copy(update={"value": value})), spec.config)
