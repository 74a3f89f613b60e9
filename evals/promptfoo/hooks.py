"""Extensions: functions of the user's own that are called before and after the run and every row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from promptship.errors import ConfigError, Problem
from promptship.evals.promptfoo.calling import script_of, split_function
from promptship.evals.services import Language, ScriptFailed, Scripts

BEFORE_ALL: Final = "beforeAll"
BEFORE_EACH: Final = "beforeEach"
AFTER_EACH: Final = "afterEach"
AFTER_ALL: Final = "afterAll"
NAMES: Final = frozenset({BEFORE_ALL, BEFORE_EACH, AFTER_EACH, AFTER_ALL})
SUITE_KEYS: Final = (
    "prompts",
    "providerPromptMap",
    "tests",
    "scenarios",
    "defaultTest",
    "nunjucksFilters",
    "derivedMetrics",
)
"""What `beforeAll` may change of the suite."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """The extensions of a configuration, `file://path:function`.

    A function called like a hook runs for that hook alone and gets `(context, {hookName})`; any other runs for all of them and
    gets `(hookName, context)`.
    """

    extensions: tuple[str, ...]
    base: Path
    scripts: Scripts

    def __bool__(self) -> bool:
        return bool(self.extensions)

    async def before_all(self, suite: Mapping[str, Any]) -> Mapping[str, Any]:
        """The suite as the extensions leave it. Raises ConfigError when one fails."""
        for extension in self.extensions:
            try:
                given = await self._called(extension, BEFORE_ALL, {"suite": suite})
            except ScriptFailed as error:
                raise ConfigError(
                    [Problem("extensions", extension, "a script that failed", str(error))]
                ) from None
            if isinstance(given, Mapping) and isinstance(given.get("suite"), Mapping):
                suite = {**suite, **{key: given["suite"].get(key) for key in SUITE_KEYS}}
        return suite

    async def before_each(self, test: Mapping[str, Any]) -> Mapping[str, Any]:
        """The test as the extensions leave it. Raises ScriptFailed, ConfigError."""
        for extension in self.extensions:
            given = await self._called(extension, BEFORE_EACH, {"test": test})
            if isinstance(given, Mapping) and isinstance(given.get("test"), Mapping):
                test = given["test"]
        return test

    async def after_each(
        self, test: Mapping[str, Any], result: Mapping[str, Any]
    ) -> tuple[dict[str, float], dict[str, Any]]:
        """Scores by metric and metadata of a result as the extensions leave them. Raises ScriptFailed, ConfigError."""
        named = dict(result.get("namedScores") or {})
        metadata = dict(result.get("metadata") or {})
        for extension in self.extensions:
            now = {**result, "namedScores": named, "metadata": metadata}
            given = await self._called(extension, AFTER_EACH, {"test": test, "result": now})
            changed = given.get("result") if isinstance(given, Mapping) else None
            if isinstance(changed, Mapping):
                named |= {
                    name: float(value)
                    for name, value in (changed.get("namedScores") or {}).items()
                    if _finite(value)
                }
                metadata |= changed.get("metadata") or {}
        return named, metadata

    async def after_all(self, context: Mapping[str, Any]) -> None:
        """Show the extensions what came out. Raises ScriptFailed, ConfigError."""
        for extension in self.extensions:
            await self._called(extension, AFTER_ALL, context)

    async def _called(self, extension: str, hook: str, context: Mapping[str, Any]) -> Any:
        _, function = split_function(extension)
        if function in NAMES and function != hook:
            return None
        arguments = (context, {"hookName": hook}) if function in NAMES else (hook, context)
        script = script_of(extension, self.base, arguments, python="get_transform")
        try:
            return await self.scripts.run(script)
        except ScriptFailed as error:
            if script.language is not Language.JAVASCRIPT or f"no function {function}" not in str(error):
                raise
        # The file is the function: promptfoo then calls it, whatever it is said to be called.
        return await self.scripts.run(replace(script, function=""))


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
