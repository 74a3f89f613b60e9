"""The checks of a plan as assertions of the evaluation engine: the same types, judges and errors as in a suite.

A check is read as a suite of one case, so that what is wrong with it is found, and said, in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson

from promptship.adapters.files import OnDisk
from promptship.errors import ConfigError, Problem
from promptship.evals.asked import models_asked
from promptship.evals.assertions import Prepared
from promptship.evals.assertions.catalogue import KINDS, Need
from promptship.evals.budget import price_of
from promptship.evals.cases import Suite
from promptship.evals.suite import parse_suite
from promptship.ports import Tree
from promptship.prompts.model import Prompt, Variable, VariableType
from promptship.release.online import Check, Judge, Online
from promptship.settings import Settings

_FILE: Final = ".online.json"
_CASE: Final = "cases[0].assert[0]"
_NOT_HERE: Final[Mapping[Need, str]] = {
    Need.ARMS: "compares answers of several versions to one question",
    Need.PERSON: "waits for a person",
    Need.COST: "needs the cost of the answer: use a guardrail on cost_usd",
}
_PLACEHOLDERS: Final[Mapping[VariableType, Any]] = {
    VariableType.STRING: "text", VariableType.INTEGER: 1, VariableType.NUMBER: 1.0, VariableType.BOOLEAN: True,
    VariableType.ARRAY: ["text"], VariableType.OBJECT: {"key": "text"},
}  # fmt: skip


class _Beside:
    """A tree with one file more."""

    def __init__(self, tree: Tree, path: str, content: bytes) -> None:
        self._tree = tree
        self._path = path
        self._content = content

    @property
    def name(self) -> str:
        return self._tree.name

    def read(self, path: str) -> bytes:
        return self._content if path == self._path else self._tree.read(path)

    def files(self) -> Sequence[str]:
        return [*self._tree.files(), self._path]


class _BesideOnDisk(_Beside):
    """The same of a tree whose files are on this disk: scripts import their neighbours."""

    def __init__(self, tree: OnDisk, path: str, content: bytes) -> None:
        super().__init__(tree, path, content)
        self._on_disk = tree

    @property
    def directory(self) -> Path:
        return self._on_disk.directory


def built(
    check: Check, online: Online, tree: Tree, folder: str, variables: Mapping[str, Any]
) -> tuple[Suite, Prepared]:
    """A check as a suite of one case, and its assertion.

    Args:
        check: one of the plan's.
        online: the plan's.
        tree: the released commit.
        folder: of its suites; `file://` names a file in it.
        variables: of the request; for values with `{{ name }}`.

    Raises:
        ConfigError: everything that is wrong with it, under the key `assert`.
    """
    judge = check.judge or online.judge
    content: dict[str, Any] = {"cases": [{"id": "online", "vars": variables, "assert": [check.assertion]}]}
    if judge is not None:
        content["judge"] = _judge(judge)
    _refuse(check)
    path = f"{folder.strip('/')}/{_FILE}".lstrip("/")
    make = _BesideOnDisk if isinstance(tree, OnDisk) else _Beside
    try:
        suite = parse_suite(make(tree, path, orjson.dumps(content)), path, "online")  # type: ignore[arg-type]
    except ConfigError as error:
        raise ConfigError([_told(problem) for problem in error.problems]) from None
    return suite, suite.cases[0].turns[0].asserts[0]


def refuse_wrong(settings: Settings, online: Online, tree: Tree, prompt: Prompt) -> None:
    """Make sure that every check of a plan can be built, asked and paid, before a release gets traffic.

    Raises:
        ConfigError: everything that is wrong, with the check it is about.
    """
    problems: list[Problem] = []
    for number, check in enumerate(online.checks):
        key = f"online.checks[{number}]"
        problems += (
            replace(problem, file=problem.file or "plan", key=f"{key}.{problem.key}".rstrip("."))
            for problem in _problems(check, online, settings, tree, prompt)
        )
    if problems:
        raise ConfigError(problems)


def _problems(
    check: Check, online: Online, settings: Settings, tree: Tree, prompt: Prompt
) -> Sequence[Problem]:
    try:
        suite, _ = built(check, online, tree, settings.repository.suites, _examples(check, prompt))
    except ConfigError as error:
        return error.problems
    return list(_unpriced(check, suite, settings))


def _refuse(check: Check) -> None:
    """What a single answer, without other arms and people, can never be scored by."""
    name = str(check.assertion.get("type", "")).removeprefix("not-")
    for need in KINDS[name].needs if name in KINDS else ():
        if need in _NOT_HERE:
            expected = f"{name} {_NOT_HERE[need]}; expected an assertion about one answer"
            raise ConfigError([Problem("", "assert.type", repr(name), expected)])


def _judge(judge: Judge) -> dict[str, Any]:
    return {name: value for name, value in judge.model_dump(mode="json").items() if value is not None}


def _told(problem: Problem) -> Problem:
    """A problem of the made-up file, as one of the check."""
    key = problem.key.replace(_CASE, "assert").replace("cases[0]", "assert")
    advice = problem.advice.replace("to the suite", "to the check, or to `online` of the plan")
    file = "" if problem.file.endswith(_FILE) else problem.file
    return replace(problem, file=file, key=key, advice=advice, line=0)


def _unpriced(check: Check, suite: Suite, settings: Settings) -> Iterator[Problem]:
    """A budget that cannot be kept, because a model's answers have no price."""
    most = check.spend_max_usd or settings.scorer.spend_max_usd
    if most is None or settings.evaluation.allow_unpriced:
        return
    for model in models_asked(suite, {}).chat:
        if price_of(settings, model) is None:
            expected = "expected its price: the check has a budget, and its answers could not be counted"
            advice = f'give price_in and price_out in [models."{model}"], 0 for a model of your own'
            yield Problem("", "judge.model", f"{model}, whose price is not known", expected, advice)


def _examples(check: Check, prompt: Prompt) -> dict[str, Any]:
    """Something for every variable of the prompt, so that values that use them can be tried."""
    if not check.variables:
        return {}
    return {name: _example(variable) for name, variable in prompt.variables.items()}


def _example(variable: Variable) -> Any:
    if variable.examples:
        return variable.examples[0]
    return variable.enum[0] if variable.enum else _PLACEHOLDERS[variable.type]
