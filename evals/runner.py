"""Run a suite: every case, every trial, every version; each finished trial is handed on at once, so that none is paid twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from promptship.errors import ConfigError, InvalidVariables, Problem, PromptshipError
from promptship.evals.calls import Calls, Pause
from promptship.evals.cases import Case, Suite
from promptship.evals.checks_pool import ChecksPool
from promptship.evals.judge import ModelJudge
from promptship.evals.rows import Arm, CaseFacts, Row, SuiteRun
from promptship.evals.score import Checker, Judge, Scored
from promptship.evals.trial import Unit, hold
from promptship.ports import ChatRequest, Models
from promptship.prompts.model import Prompt
from promptship.prompts.render import render

CHECK_PROCESSES_MAX: Final = 4


async def run(
    suite: Suite,
    arms: Mapping[Arm, Prompt],
    models: Models,
    *,
    trials: int,
    concurrency: int = 8,
    deadline_s: float = 60.0,
    attempts: int = 4,
    on_row: Callable[[Row], None] | None = None,
    seed: int = 0,
    finished: Iterable[Row] = (),
    pause: Pause = asyncio.sleep,
) -> SuiteRun:
    """Ask every version every case `trials` times (or as often as the case says), at most `concurrency` at once.

    Versions of the same case are asked close in time, in random order (`seed`), so that a provider's mood meets both.
    `on_row` gets every new row with its answers. `finished`: rows of an earlier run of the same suite; those that have a
    score and still fit are taken over and not asked again. `deadline_s` bounds one call with all its `attempts`.

    Raises:
        ConfigError: the suite does not fit the candidate's variables; the prompt has no model; or no request is right.
        Refused: 401 or 403, once, for the whole run.
        Unavailable: a provider is down; the rows so far were handed on.
    """
    incomparable = _fit(suite, arms)
    ready = {row.key: row for row in finished if isinstance(row.score, Scored)}
    calls = Calls(
        models,
        deadline_s=deadline_s,
        attempts=attempts,
        down_max=max(10, 2 * concurrency),
        seed=seed,
        pause=pause,
    )
    judge = ModelJudge(calls, suite.judge) if suite.judge else None
    rows: list[Row] = []
    reused: list[Row] = []
    units = _units(suite, arms, trials, incomparable, seed)
    async with ChecksPool(min(concurrency, CHECK_PROCESSES_MAX)) as checker:
        work = _Work(units, ready, calls, checker, judge, on_row, rows, reused)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(concurrency):
                    group.create_task(work.go())
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
    facts = tuple(CaseFacts(id=case.id, severity=case.severity, weight=case.weight) for case in suite.cases)
    return SuiteRun(
        suite=suite.name, arms=tuple(sorted(arms)), cases=facts, rows=tuple(sorted(rows, key=lambda row: row.key)),
        incomparable=tuple(sorted(incomparable)), reused=len(reused),
    )  # fmt: skip


class _Work:
    """What the workers of one run share; all in one event loop."""

    def __init__(
        self,
        units: Iterator[Unit],
        ready: Mapping[tuple[str, Arm, int], Row],
        calls: Calls,
        checker: Checker,
        judge: Judge | None,
        on_row: Callable[[Row], None] | None,
        rows: list[Row],
        reused: list[Row],
    ) -> None:
        self._units, self._ready, self._calls, self._checker, self._judge = (
            units,
            ready,
            calls,
            checker,
            judge,
        )
        self._on_row, self._rows, self._reused = on_row, rows, reused

    async def go(self) -> None:
        """Do units until there is none. Raises what ends the whole run."""
        for unit in self._units:
            kept = self._ready.get((unit.case.id, unit.arm, unit.trial))
            if kept is not None and kept.digest == unit.digest:
                self._rows.append(kept.slim())
                self._reused.append(self._rows[-1])
                continue
            row = await hold(unit, self._calls, self._checker, self._judge)
            self._rows.append(row.slim())
            if self._on_row is not None:
                self._on_row(row)
            if self._calls.blown is not None:
                raise self._calls.blown


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended the run: ours before any other, and never a group."""
    plain: list[BaseException] = []
    waiting: list[BaseException] = [errors]
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(error.exceptions)
        else:
            plain.append(error)
    return next((error for error in plain if isinstance(error, PromptshipError)), plain[0])


def _units(
    suite: Suite, arms: Mapping[Arm, Prompt], trials: int, incomparable: frozenset[str], seed: int
) -> Iterator[Unit]:
    """Trial by trial, cases shuffled, versions of a case side by side; made while running, so memory stays flat."""
    order = random.Random(seed)  # noqa: S311 - an order of work
    for trial in range(max(suite.trials(case, trials) for case in suite.cases)):
        cases = [case for case in suite.cases if trial < suite.trials(case, trials)]
        order.shuffle(cases)
        for case in cases:
            asked = [arm for arm in sorted(arms) if arm == "candidate" or case.id not in incomparable]
            order.shuffle(asked)
            for arm in asked:
                yield Unit(case=case, arm=arm, trial=trial, request=request_of(arms[arm], case))


def request_of(prompt: Prompt, case: Case) -> ChatRequest:
    """The first request of a case. Variables the prompt does not declare are for the assertions and are not sent.

    Raises:
        InvalidVariables: the case's variables do not fit the prompt.
        ConfigError: the prompt names no model, or its template cannot be rendered.
    """
    if prompt.model is None:
        problem = Problem(
            f"prompt {prompt.name}",
            "model",
            "missing",
            "expected the model to ask",
            "a suite needs to know it",
        )
        raise ConfigError([problem])
    declared = {name: value for name, value in case.vars.items() if name in prompt.variables}
    rendered = render(prompt, declared)
    history = [message.model_dump(exclude_none=True) for message in case.messages]
    return ChatRequest(
        model=prompt.model, messages=(*(dict(message) for message in rendered.messages), *history),
        parameters=dict(rendered.parameters), tools=tuple(dict(tool) for tool in rendered.tools),
        response_format=dict(rendered.response_format) if rendered.response_format is not None else None,
    )  # fmt: skip


def _fit(suite: Suite, arms: Mapping[Arm, Prompt]) -> frozenset[str]:
    """Ids of the cases stable cannot be asked. The candidate must fit every case: the suite is its own."""
    incomparable: set[str] = set()
    problems: list[Problem] = []
    for arm, prompt in arms.items():
        for number, case in enumerate(suite.cases):
            try:
                request_of(prompt, case)
            except InvalidVariables as error:
                if arm == "stable":
                    incomparable.add(case.id)
                    continue
                key = f"cases[{number}].vars"
                problems.extend(
                    Problem(
                        suite.path,
                        f"{key}.{name}",
                        what,
                        f"expected variables of prompt {prompt.name}",
                        f"case {case.id}",
                    )
                    for name, what in error.problems.items()
                )
    if problems:
        raise ConfigError(problems)
    return frozenset(incomparable)
