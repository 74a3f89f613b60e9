"""A limit in USD needs prices here, too: a run that has one is not begun while an answer in it could not be counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from promptship.errors import ConfigError, Problem
from promptship.evals.budget import price_missing
from promptship.evals.promptfoo.columns import columns_of
from promptship.evals.promptfoo.graders import PromptfooGraders, spec_of
from promptship.evals.promptfoo.judge_checks import TEXT, questions
from promptship.evals.promptfoo.model import Provider
from promptship.evals.promptfoo.providers.base import price_of
from promptship.evals.promptfoo.providers.others import EchoProvider, LlamaProvider, SequenceProvider
from promptship.evals.promptfoo.providers.own import ExecProvider
from promptship.evals.promptfoo.run import Plan

_TELL_COST: Final = ("openrouter:", "litellm:")
"""Gateways that say in each answer what it cost."""
_WAY_ROUND: Final = "or pass --allow-unpriced"
_OWN: Final = "inputCost and outputCost in its config, USD per token"


def refuse_unpriced(planned: Plan, graders: PromptfooGraders, spend_max_usd: float | None) -> None:
    """Make sure that a limit can be kept, as far as that is known before the answers are there.

    Code of the user's own, HTTP services and gateways may say what an answer cost: they are asked, and the run ends at the first
    answer that does not (`promptship.evals.calls.Limits.allow_unpriced`).

    Raises:
        ConfigError: every provider and judge whose answers nobody could count.
    """
    if spend_max_usd is None:
        return
    file = str(planned.config.paths[0]) if planned.config.paths else str(planned.config.base)
    problems = {
        str(problem): problem
        for provider, config in _asked(planned, graders)
        if is_priced(provider, config) is False
        for problem in [_unpriced(provider, file, spend_max_usd)]
    }
    if problems:
        raise ConfigError(problems.values())


def _unpriced(provider: Provider, file: str, spend_max_usd: float) -> Problem:
    model = getattr(provider, "model", "")
    said = price_missing(model, "the run", spend_max_usd, f"or {_OWN}; {_WAY_ROUND}")
    if model:
        return said
    advice = (
        f"give {_OWN}"
        if isinstance(provider, LlamaProvider)
        else "wrap it in file://provider.py, which returns `cost`"
    )
    return replace(
        said,
        file=file,
        key=f"providers[{provider.label}]",
        got="without a price",
        advice=f"{advice}; {_WAY_ROUND}",
    )


def is_priced(provider: Provider, config: Mapping[str, Any]) -> bool | None:
    """Whether the cost of an answer will be known: yes, no, or (None) the answer may say so itself.

    `config`: of the call, over the provider's own.
    """
    if isinstance(provider, EchoProvider):
        return True
    if isinstance(provider, SequenceProvider):
        return is_priced(provider.asked, config)
    if isinstance(provider, ExecProvider):
        return False
    caller = getattr(provider, "caller", None)
    if caller is None or provider.id.startswith(_TELL_COST) or caller.spec.id.startswith(_TELL_COST):
        return None
    if price_of({**provider.config, **config}) is not None:
        return True
    model = getattr(provider, "model", "")
    return bool(model) and caller.tools.prices.of_model(model, listed=caller.prices_listed) is not None


def _asked(planned: Plan, graders: PromptfooGraders) -> Iterator[tuple[Provider, Mapping[str, Any]]]:
    """Everybody who is asked for text, with what prompt and test configure for the call; each pair once."""
    made: dict[str, Provider] = {}
    seen: set[tuple[int, str]] = set()
    for case in planned.cases:
        if case.provider_output:
            continue
        for column in columns_of(case, planned.columns):
            provider = column.provider
            if case.provider:
                key = repr(case.provider)
                try:
                    provider = made.get(key) or planned.make(spec_of(case.provider, planned.config.base))
                except ConfigError:
                    continue  # its rows say why
                made[key] = provider
            config = {**column.prompt.config, **case.options}
            pair = (id(provider), repr([config.get(name) for name in ("cost", "inputCost", "outputCost")]))
            if pair not in seen:
                seen.add(pair)
                yield provider, config
    for who, kind, *_ in questions(planned.cases, planned.config):
        if kind == TEXT:
            yield graders.judge(who), {}
