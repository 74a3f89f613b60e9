"""A native suite as work for the runner: which prompt is asked which case, how often and in which order."""

from __future__ import annotations

import difflib
import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from promptship import __version__
from promptship.chat import ChatAnswer, ChatRequest
from promptship.errors import ConfigError, InvalidVariables, Problem, PromptshipError, Refused
from promptship.evals.asked import models_asked
from promptship.evals.assertions.script_source import LANGUAGES
from promptship.evals.calls import model_at
from promptship.evals.cases import Case, Suite
from promptship.evals.rows import Arm, ArmFacts, CaseFacts, SuiteRun
from promptship.evals.runner import Hopeless, Ran
from promptship.evals.trial import Ask, Attacker, CaseTrial
from promptship.evals.units import Asking, Group, Settle
from promptship.ports import Models, Tree
from promptship.prompts.digest import digest
from promptship.prompts.model import Prompt
from promptship.prompts.render import render

Cost = Callable[[ChatAnswer], float | None]
"""Price of an answer in USD, for a provider that names none; None: nobody knows."""


def asking_of(
    models: Models, asking: Asking, *, endpoint: Callable[[str], str] = str, cost: Cost | None = None
) -> Ask:
    """How trials ask `models`. `endpoint` names the endpoint of a model for limits, fuses and the cache; the model without it."""

    async def ask(request: ChatRequest, trial: int) -> ChatAnswer:
        name = endpoint(request.model)

        async def once() -> ChatAnswer:
            answer = await models.complete(request)
            if answer.cost_usd is None and cost is not None:
                return replace(answer, cost_usd=cost(answer))
            return answer

        return await asking.answer(name, once, model=request.model, key=answer_key(name, request, trial))

    return ask


def answer_key(endpoint: str, request: ChatRequest, trial: int) -> str:
    """Content address of an answer: everything that is sent, where to, and the repetition."""
    # Unsorted: the order of keys is content, models answer in the order of a schema's properties.
    sent = [
        endpoint, trial, request.model, request.messages, request.parameters, request.tools, request.response_format,
    ]  # fmt: skip
    try:
        return hashlib.sha256(orjson.dumps(sent)).hexdigest()
    except TypeError:
        return ""  # what JSON has no form for cannot be sent either: the provider's adapter says so


def native_groups(
    suite: Suite,
    arms: Mapping[Arm, Prompt],
    ask: Ask,
    *,
    trials: int,
    seed: int = 0,
    incomparable: frozenset[str] = frozenset(),
    settle: Settle | None = None,
    attacker: Attacker | None = None,
    endpoint: Callable[[str], str] = str,
) -> Iterator[Group]:
    """Trial by trial, cases shuffled, arms of a case side by side in random order, so that a provider's mood meets all of them.

    Made while running, so memory stays flat. The arm `stable` is not asked the `incomparable` cases. `endpoint` names the endpoint
    of a model: rows of another one are asked again.
    """
    order = random.Random(seed)  # noqa: S311 - an order of work
    where = _where(suite, arms, endpoint)
    judge = suite.judge.model if suite.judge is not None else ""
    attacker_model = suite.attacker.model if suite.attacker is not None else ""
    for trial in range(max(suite.trials(case, trials) for case in suite.cases)):
        cases = [case for case in suite.cases if trial < suite.trials(case, trials)]
        order.shuffle(cases)
        for case in cases:
            asked = _asked(arms, case, incomparable)
            order.shuffle(asked)
            units = tuple(
                CaseTrial(
                    content=replace(case, digest=f"{case.digest} {where[arm]}"),
                    arm=arm,
                    trial=trial,
                    request=request_of(arms[arm], case),
                    ask=ask,
                    judge=judge,
                    attacker_model=attacker_model,
                    attacker=attacker,
                )
                for arm in asked
            )
            yield Group(units, settle if len(units) > 1 else None)


def trials_of(
    suite: Suite, arms: Mapping[Arm, Prompt], trials: int, incomparable: frozenset[str] = frozenset()
) -> int:
    """How many rows a whole run has."""
    return sum(suite.trials(case, trials) * len(_asked(arms, case, incomparable)) for case in suite.cases)


def _asked(arms: Mapping[Arm, Prompt], case: Case, incomparable: frozenset[str]) -> list[Arm]:
    return [arm for arm in sorted(arms) if arm != "stable" or case.id not in incomparable]


def matrix(prompts: Mapping[str, Prompt], models: Sequence[str]) -> dict[Arm, Prompt]:
    """Every prompt with every model; an arm is called `prompt@model`. No models: every prompt with its own."""
    if not models:
        return dict(prompts)
    return {
        f"{name}@{model}": prompt.model_copy(update={"model": model})
        for name, prompt in prompts.items()
        for model in models
    }


def request_of(prompt: Prompt, case: Case) -> ChatRequest:
    """The first request of a case. Variables the prompt does not declare are for the assertions and are not sent.

    Raises:
        InvalidVariables: the case's variables do not fit the prompt.
        ConfigError: the prompt names no model, or its template cannot be rendered.
    """
    if prompt.model is None:
        expected, advice = "expected the model to ask", "a suite needs to know it"
        raise ConfigError([Problem(f"prompt {prompt.name}", "model", "missing", expected, advice)])
    declared = {name: value for name, value in case.vars.items() if name in prompt.variables}
    rendered = render(prompt, declared)
    history = [message.model_dump(exclude_none=True) for message in case.messages]
    return ChatRequest(
        model=prompt.model, messages=(*(dict(message) for message in rendered.messages), *history),
        parameters=dict(rendered.parameters), tools=tuple(dict(tool) for tool in rendered.tools),
        response_format=dict(rendered.response_format) if rendered.response_format is not None else None,
    )  # fmt: skip


def fit(suite: Suite, arms: Mapping[Arm, Prompt]) -> frozenset[str]:
    """Ids of the cases that the arm `stable` cannot be asked. Every other arm must fit every case: the suite is its own.

    Raises:
        ConfigError: everything that does not fit, at once.
    """
    incomparable: set[str] = set()
    problems: dict[Problem, None] = {}
    for arm, prompt in arms.items():
        for number, case in enumerate(suite.cases):
            try:
                request_of(prompt, case)
            except InvalidVariables as error:
                if arm == "stable":
                    incomparable.add(case.id)
                    continue
                expected, key = f"expected the variables of prompt {prompt.name}", f"cases[{number}].vars"
                for name, what in error.problems.items():
                    got, advice = what.removeprefix("is "), _advice(name, prompt, case)
                    problems[Problem(suite.path, f"{key}.{name}", got, expected, advice, case.line)] = None
    if problems:
        raise ConfigError(problems)
    return frozenset(incomparable)


def _advice(name: str, prompt: Prompt, case: Case) -> str:
    others = [other for other in case.vars if other not in prompt.variables]
    near = difflib.get_close_matches(name, others, n=1)
    return f"case {case.id}" + (f": {near[0]} is no variable of the prompt" if near else "")


def case_facts(suite: Suite) -> tuple[CaseFacts, ...]:
    """What verdict and reports need of every case."""
    return tuple(
        CaseFacts(
            id=case.id,
            severity=case.severity,
            weight=case.weight,
            description=case.description,
            tags=case.tags,
            passes_min=case.passes_min,
            topic=case.topic,
            vars=case.vars,
            origin=str(case.origin.kind),
        )
        for case in suite.cases
    )


def arm_facts(arms: Mapping[Arm, Prompt]) -> tuple[ArmFacts, ...]:
    """What reports need of every arm."""
    return tuple(
        ArmFacts(
            key=arm,
            prompt=prompt.name,
            model=prompt.model or "",
            prompt_text="\n\n".join(f"[{message.role}] {message.content}" for message in prompt.messages),
        )
        for arm, prompt in sorted(arms.items())
    )


def hopeless_for(
    arms: Mapping[Arm, Prompt], endpoint: Callable[[str], str] = str, *, compared: bool
) -> Hopeless:
    """When nothing more can come of a run: no arm is answered any more; or, where arms are `compared`, one is refused for good.

    An arm that is only down costs its rows: whether too many are missing is for the verdict to say.
    """
    models = {prompt.model for prompt in arms.values() if prompt.model is not None}
    names = [(endpoint(model), model_at(endpoint(model), model)) for model in models]

    def hopeless(dead: Mapping[str, PromptshipError]) -> bool:
        errors = [dead.get(place) or dead.get(model) for place, model in names]
        refused = [error for error in errors if isinstance(error, Refused | ConfigError)]
        return None not in errors or (compared and bool(refused))

    return hopeless


def inputs_digest(
    suite: Suite,
    arms: Mapping[Arm, Prompt],
    trials: int,
    *,
    endpoint: Callable[[str], str] = str,
    scripts: Mapping[str, str] | None = None,
) -> str:
    """Content address of what a run is about: suite, prompts, trials, where its models answer, and the version of promptship.

    Only a run of the same inputs can be resumed. `endpoint` names the endpoint of a model. `scripts`: see `scripts_in`.
    """
    parts: list[Any] = [suite.name, trials, [[case.id, case.digest, case.trials] for case in suite.cases]]
    parts.append(sorted([arm, prompt.model, digest(prompt)] for arm, prompt in arms.items()))
    parts += [sorted(_where(suite, arms, endpoint).items()), sorted((scripts or {}).items())]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()


def scripts_in(tree: Tree, folder: str) -> dict[str, str]:
    """Digest of every file of code below the suites' folder, by path: assertions may import each other's neighbours."""
    prefix = folder.strip("/") + "/" if folder.strip("/") else ""
    found = [path for path in tree.files() if path.startswith(prefix) and path.endswith(tuple(LANGUAGES))]
    return {path: hashlib.sha256(tree.read(path)).hexdigest() for path in found}


def _where(suite: Suite, arms: Mapping[Arm, Prompt], endpoint: Callable[[str], str]) -> dict[Arm, str]:
    """By arm who answers, and who says what an answer is worth: another address, or other rules, are other scores."""
    judges = [[model, endpoint(model)] for model in models_asked(suite, {}).models]
    return {
        arm: hashlib.sha256(
            orjson.dumps([__version__, judges, endpoint(prompt.model) if prompt.model else ""])
        ).hexdigest()
        for arm, prompt in arms.items()
    }


def suite_run(
    suite: Suite, arms: Iterable[Arm], ran: Ran, incomparable: frozenset[str] = frozenset()
) -> SuiteRun:
    """What the verdict is made from."""
    return SuiteRun(
        suite=suite.name, arms=tuple(sorted(arms)), cases=case_facts(suite), rows=ran.rows,
        incomparable=tuple(sorted(incomparable)), reused=ran.reused,
    )  # fmt: skip
