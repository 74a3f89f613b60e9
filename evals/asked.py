"""Which models a run of a suite asks: for limits, for its budget, and to know whether two runs ask the same. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final

from promptship.evals.assertions.base import Prepared
from promptship.evals.assertions.catalogue import KINDS, Need
from promptship.evals.assertions.sets import AssertSet
from promptship.evals.cases import Suite
from promptship.evals.rows import Arm
from promptship.evals.suite_file import JudgeSettings
from promptship.prompts.model import Prompt

ATTACKED: Final = "redteam:"
"""Types of this family ask the suite's judge about what words leave open, if there is one."""
SET: Final = "assert-set"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Models by name, each once, sorted."""

    chat: tuple[str, ...]
    """Arms, judges and the attacker: what they cost is counted."""
    other: tuple[str, ...]
    """Embeddings and moderation, of which no cost is known."""

    @property
    def models(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(sorted({*self.chat, *self.other}))


def models_asked(suite: Suite, arms: Mapping[Arm, Prompt]) -> Asked:
    """Every model that a run of the suite may ask."""
    chat = {prompt.model for prompt in arms.values() if prompt.model is not None}
    other: set[str] = set()
    for type_, assertion in _assertions(suite):
        needs = KINDS[type_].needs
        if not needs and not type_.startswith(ATTACKED):
            continue
        named = set(named_models(assertion))
        if Need.JUDGE in needs or type_.startswith(ATTACKED):
            chat |= named or _given(suite.judge, "model")
        if Need.EMBEDDINGS in needs:
            # One that asks a judge and embeddings is named by the suite alone.
            mine = set() if Need.JUDGE in needs else named
            other |= mine or _given(suite.judge, "embeddings")
        if Need.MODERATION in needs:
            other |= named or _given(suite.judge, "moderation")
    if suite.attacker is not None and any(case.attack is not None for case in suite.cases):
        chat.add(suite.attacker.model)
    return Asked(chat=tuple(sorted(chat)), other=tuple(sorted(other)))


def _given(judge: JudgeSettings | None, key: str) -> set[str]:
    name = getattr(judge, key, None)
    return {name} if name else set()


def _assertions(suite: Suite) -> Iterator[tuple[str, Any]]:
    """Type without `not-` and assertion of everything the suite demands, members of sets by themselves."""
    seen: set[int] = set()
    for case in suite.cases:
        for turn in case.turns:
            for one in turn.asserts:
                if id(one) not in seen:  # cases that demand the same share their assertions
                    seen.add(id(one))
                    yield from members(one)


def members(prepared: Prepared) -> Iterator[tuple[str, Any]]:
    """Type without `not-` and assertion, of a set those of its members."""
    type_ = prepared.type.removeprefix("not-")
    if type_ in KINDS and type_ != SET:
        yield type_, prepared.assertion
    if type_ != SET:
        return
    for found in _sets(prepared.assertion):
        for member in found.members:
            yield from members(member)


def _sets(value: Any) -> Iterator[AssertSet]:
    """The set behind `not-` and transforms, if it is one."""
    if isinstance(value, AssertSet):
        yield value
    else:
        for part in _parts(value):
            yield from _sets(part)


def named_models(value: Any) -> Iterator[str]:
    """Models that an assertion names for itself (`provider`); not those of a set's members."""
    if isinstance(value, AssertSet):
        return
    who = getattr(value, "who", None)
    if isinstance(who, str) and who:
        yield who
    for part in _parts(value):
        yield from named_models(part)


def _parts(value: Any) -> Iterable[Any]:
    """Assertions that an assertion is made of."""
    if not is_dataclass(value) or isinstance(value, type):
        return ()
    found = (getattr(value, field.name, None) for field in fields(value))
    return [part for part in found if is_dataclass(part) and not isinstance(part, type)]
