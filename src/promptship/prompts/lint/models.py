"""Rules about the model a prompt is written for (PS3xx)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from promptship.prompts.lint.finding import LintFinding, Rule
from promptship.prompts.lint.subject import Check, Subject
from promptship.prompts.lint.tokens import budget

NEARLY_FULL: Final = 0.8
"""Share of the context from which the budget is warned about: the estimate and real inputs both vary."""

NO_MODEL = Rule(
    id="PS301",
    name="no-model",
    severity="error",
    summary="The prompt names no model, so nothing can be tested or served.",
)
UNKNOWN_MODEL = Rule(
    id="PS302",
    name="unknown-model",
    severity="error",
    summary="The model id is neither in the catalogue nor configured: most often a typing error.",
)
RETIRED_MODEL = Rule(
    id="PS303",
    name="retired-model",
    severity="error",
    summary="The model has been shut down: every call fails.",
)
RETIRES_SOON = Rule(
    id="PS304",
    name="retires-soon",
    severity="warning",
    summary="The model is shut down within 60 days: plan the move now.",
)
OVER_CONTEXT = Rule(
    id="PS305",
    name="over-context",
    severity="error",
    summary="Prompt with its largest examples and answer do not fit into the model's context.",
)
NEAR_CONTEXT = Rule(
    id="PS306",
    name="near-context",
    severity="warning",
    summary="Prompt with its largest examples and answer fill more than 80 % of the model's context.",
)


def no_model(subject: Subject) -> Iterator[LintFinding]:
    """No model, or an empty one."""
    if not subject.prompt.model:
        yield NO_MODEL.found(
            subject.path,
            subject.source.line("model"),
            "the prompt names no model",
            "add `model:` with a model id",
        )


def unknown_model(subject: Subject) -> Iterator[LintFinding]:
    """An id that neither the catalogue nor the settings know."""
    model_id, catalogue = subject.prompt.model, subject.context.catalogue
    if model_id and catalogue.find(model_id) is None:
        near = catalogue.nearest(model_id)
        advice = f"did you mean `{near}`? otherwise " if near else ""
        yield UNKNOWN_MODEL.found(
            subject.path,
            subject.source.line("model"),
            f"model `{model_id}` is unknown",
            f'{advice}configure it under [models."{model_id}"] in promptship.toml, or write `provider/model`',
        )


def retired_model(subject: Subject) -> Iterator[LintFinding]:
    """Its retirement date is today or past."""
    retires_on = _retires_on(subject)
    if retires_on is not None and (subject.context.today - retires_on).days >= 0:
        message = f"model `{subject.prompt.model}` was retired on {retires_on.isoformat()}"
        yield RETIRED_MODEL.found(
            subject.path, subject.source.line("model"), message, "move to a model that is served"
        )


def retires_soon(subject: Subject) -> Iterator[LintFinding]:
    """Its retirement date is ahead, at most `retires_soon_days` away."""
    retires_on = _retires_on(subject)
    if retires_on is None:
        return
    days = (retires_on - subject.context.today).days
    if 0 < days <= subject.context.retires_soon_days:
        message = f"model `{subject.prompt.model}` retires on {retires_on.isoformat()}, in {days} day{'s' * (days != 1)}"
        yield RETIRES_SOON.found(
            subject.path,
            subject.source.line("model"),
            message,
            "release a candidate on its successor before that day",
        )


def over_context(subject: Subject) -> Iterator[LintFinding]:
    """More tokens than the context has."""
    if (filled := _filled(subject)) and filled[0] > filled[2]:
        yield OVER_CONTEXT.found(
            subject.path, subject.source.line("messages"), _budget_message(*filled), _SHORTEN
        )


def near_context(subject: Subject) -> Iterator[LintFinding]:
    """More than `NEARLY_FULL` of the context, and not more than all of it."""
    if (filled := _filled(subject)) and NEARLY_FULL * filled[2] < filled[0] <= filled[2]:
        yield NEAR_CONTEXT.found(
            subject.path, subject.source.line("messages"), _budget_message(*filled), _SHORTEN
        )


_SHORTEN: Final = (
    "shorten the prompt or its inputs, lower max_tokens, or choose a model with a larger context"
)


def _budget_message(total: int, reserved: int, context: int) -> str:
    answer = f", {reserved:,} of them for the answer" if reserved else ""
    return f"about {total:,} tokens with the largest examples{answer}; the model's context has {context:,}"


def _filled(subject: Subject) -> tuple[int, int, int] | None:
    """(all tokens, those reserved for the answer, context), or None when any of it is not known."""
    model_id = subject.prompt.model
    model = subject.context.catalogue.find(model_id) if model_id else None
    if model is None or model.context_tokens is None or any(t.error for t in subject.templates):
        return None
    needs = budget(subject.prompt)
    return None if needs is None else (sum(needs), needs[1], model.context_tokens)


def _retires_on(subject: Subject) -> date | None:
    model_id = subject.prompt.model
    model = subject.context.catalogue.find(model_id) if model_id else None
    return None if model is None else model.retires_on


MODEL_RULES: Final[tuple[tuple[Rule, Check], ...]] = (
    (NO_MODEL, no_model),
    (UNKNOWN_MODEL, unknown_model),
    (RETIRED_MODEL, retired_model),
    (RETIRES_SOON, retires_soon),
    (OVER_CONTEXT, over_context),
    (NEAR_CONTEXT, near_context),
)
