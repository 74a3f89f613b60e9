"""Columns of a promptfoo run: every prompt with every provider that is asked it. An arm here."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from promptship.errors import ConfigError, Problem
from promptship.evals.promptfoo.contents import Contents
from promptship.evals.promptfoo.model import Config, Identified, PromptSpec, Provider, ProviderSpec, TestCase
from promptship.evals.promptfoo.prompts import matches
from promptship.evals.rows import ArmFacts
from promptship.evals.services import Scripts

_NAME_MAX: Final = 80
"""Characters of a prompt's name in reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One prompt with one provider: a column of promptfoo's table, an arm here."""

    index: int
    """promptIdx."""
    arm: str
    provider: Provider
    prompt: PromptSpec
    prompt_id: str
    """SHA-256 of the prompt's label, as results name it."""
    label: str = ""
    """The provider's label as configured; empty: it has none."""
    configured: str = ""
    """The provider's id as configured."""
    transform: str | None = None
    delay_ms: float = 0.0
    digest: str = ""
    """Of provider and prompt, with the files they stand in."""


async def providers_of(
    specs: Sequence[ProviderSpec], make: Callable[[ProviderSpec], Provider], scripts: Scripts
) -> tuple[Provider, ...]:
    """One per specification. Raises ConfigError: every provider that cannot be made."""
    found: list[Provider] = []
    problems: list[Problem] = []
    for spec in specs:
        try:
            found.append(make(spec))
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(dict.fromkeys(problems))
    asked = [one.identified(scripts) if isinstance(one, Identified) else _itself(one) for one in found]
    return tuple(await asyncio.gather(*asked))


async def _itself(provider: Provider) -> Provider:
    return provider


def columns(config: Config, providers: Sequence[Provider], contents: Contents) -> tuple[Column, ...]:
    """One per provider and prompt it is asked."""
    found: list[Column] = []
    names: set[str] = set()
    for spec, provider in zip(config.providers, providers, strict=True):
        asked = [prompt for prompt in config.prompts if _is_asked(spec, prompt)]
        for prompt in asked:
            prompt_id = hashlib.sha256(prompt.label.encode()).hexdigest()
            found.append(
                Column(
                    index=len(found), arm=_arm(spec.label or provider.id, prompt_id, names), provider=provider, prompt=prompt,
                    prompt_id=prompt_id, label=spec.label, configured=spec.id, transform=spec.transform, delay_ms=spec.delay_ms,
                    digest=contents.digest([_spec(spec), _prompt(prompt)]),
                )
            )  # fmt: skip
    return tuple(found)


def _is_asked(spec: ProviderSpec, prompt: PromptSpec) -> bool:
    if spec.prompts is None:
        return True
    return bool(spec.prompts) and matches(prompt, spec.prompts)


def _arm(provider: str, prompt_id: str, names: set[str]) -> str:
    """Stable while provider and prompt keep their labels; equal ones are numbered."""
    name = plain = f"{provider} [{prompt_id[:8]}]"
    number = 1
    while name in names:
        number += 1
        name = f"{plain} {number}"
    names.add(name)
    return name


def _spec(spec: ProviderSpec) -> list[Any]:
    return [spec.id, spec.label, dict(spec.config), spec.transform, spec.inputs]


def _prompt(prompt: PromptSpec) -> list[Any]:
    path = [] if prompt.path is None else [f"file://{prompt.path}", prompt.function]
    return [prompt.raw, prompt.label, prompt.config, *path]


def columns_of(case: TestCase, columns: Sequence[Column]) -> tuple[Column, ...]:
    """Those that a case is run with: its `providers` and `prompts` may leave some out."""
    return tuple(
        column
        for column in columns
        if (not case.providers or any(provider_matches(name, column) for name in case.providers))
        and (not case.prompts or matches(column.prompt, case.prompts))
    )


def provider_matches(name: str, column: Column) -> bool:
    """Whether a test's `providers` entry means a column's provider: label, id, `start*`, or all that begin with `start:`."""
    return any(
        known == name or known.startswith(f"{name}:") or (name.endswith("*") and known.startswith(name[:-1]))
        for known in (column.label, column.provider.id, column.configured)
        if known
    )


def arm_facts(columns: Sequence[Column]) -> tuple[ArmFacts, ...]:
    """What reports need to know of every column. A prompt without a label is its whole text, of which names show one line."""
    names = _short({column.prompt.label: None for column in columns})
    return tuple(
        ArmFacts(
            key=column.arm,
            prompt=names[column.prompt.label],
            model=column.label or column.provider.id,
            prompt_text=column.prompt.raw,
        )
        for column in columns
    )


def _short(labels: Iterable[str]) -> dict[str, str]:
    """A line for each label; no two are the same."""
    found: dict[str, str] = {}
    for label in labels:
        line = " ".join(label.split())
        name = line if len(line) <= _NAME_MAX else f"{line[: _NAME_MAX - 1]}…"
        found[label] = name if name not in found.values() else f"{name} #{len(found) + 1}"
    return found
