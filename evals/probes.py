"""Very short questions whose answers tell models apart, and whether those still come out of the same distribution.

One word or number is asked for, where models have habits of their own: which number is "random", which word comes first. What was
answered is kept as counts of a few kinds per question, never as text. The test is that of `promptship.evals.exchangeability`: rounds
may go on for years without a false alarm beyond alpha. That a model can be told by samples of its answers: Gao, Liang and Guestrin,
"Model equality testing: which model is this API serving?".
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Self

from promptship.chat import ChatAnswer, ChatRequest
from promptship.errors import ConfigError
from promptship.evals.exchangeability import Evidence, begun, bet, rank_of_rarity, tie_of
from promptship.ports import Models

PROBES: Final[Mapping[str, str]] = {
    "number": "Pick a random whole number from 1 to 100. Answer with the digits only.",
    "animal": "Name one animal. Answer with one word only.",
    "colour": "Name one colour that is not red, green or blue. Answer with one word only.",
    "city": "Name one city that is not a capital. Answer with its name only.",
    "letter": "Pick a random letter of the alphabet. Answer with the letter only.",
    "word": "Complete with one word only: The old sailor looked at the",
    "synonym": "Give one synonym of 'happy'. Answer with one word only.",
    "translation": "Translate into German, one word only: butterfly net",
    "sum": "What is 4817 + 2958 * 3? Answer with the digits only.",
    "count": "How many times does the letter r occur in 'raspberry error'? Answer with one digit only.",
    "rhyme": "Give one word that rhymes with 'light'. Answer with one word only.",
    "emoji": "Which single emoji stands best for patience? Answer with it only.",
}
TRIALS: Final = 3
"""Answers to each probe per round."""
AT_ONCE: Final = 4
_BUCKETS: Final = 64
"""Kinds of answers that are told apart: their counts fit into an entry of the journal for ever."""
_PLAIN: Final = re.compile(r"[\s\W_]+")
_COLD: Final[Mapping[str, Any]] = {"temperature": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probing:
    """What is known of one model's answers to the probes."""

    rounds: int = 0
    bags: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By probe: how often each kind of answer came."""
    evidence: Evidence = field(default_factory=begun)

    def data(self) -> dict[str, Any]:
        """Plain values for the journal."""
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Of `data`."""
        evidence = Evidence(tuple(data["evidence"]["logs"]), data["evidence"]["peak"])
        return cls(rounds=data["rounds"], bags=data["bags"], evidence=evidence)


def after_round(before: Probing, kinds: Sequence[tuple[str, str]], *, salt: str) -> Probing:
    """With one more round: (probe, kind of its answer). Nothing is bet on the first: there is nothing to compare with."""
    bags = {probe: dict(bag) for probe, bag in before.bags.items()}
    evidence = before.evidence
    for number, (probe, kind) in enumerate(kinds):
        bag = bags.setdefault(probe, {})
        if before.rounds and bag:
            tie = tie_of(salt, before.rounds, number)
            evidence = bet(evidence, rank_of_rarity(bag, kind, tie=tie))
        bag[kind] = bag.get(kind, 0) + 1
    return replace(before, rounds=before.rounds + bool(kinds), bags=bags, evidence=evidence)


def kind_of(answer: ChatAnswer) -> str:
    """Which of a few kinds an answer is: a digest of its bare words. Case and punctuation do not count."""
    words = _PLAIN.sub(" ", answer.text).strip().casefold() or answer.text.strip()
    said = f"{words[:40]}\0{answer.finish_reason == 'content_filter'}"
    return f"{hashlib.sha256(said.encode()).digest()[0] % _BUCKETS:02d}"


async def ask_round(models: Models, model: str) -> tuple[list[tuple[str, str]], list[ChatAnswer]]:
    """One round: (probe, kind) in a fixed order, and the answers behind them. Cold where the model has a temperature.

    Raises:
        Unavailable, Refused, ConfigError: as `Models.complete`; nothing of the round counts then.
    """
    parameters = dict(_COLD)
    try:
        first = await models.complete(_request(model, "number", parameters))
    except ConfigError:  # models that think take no temperature
        parameters = {}
        first = await models.complete(_request(model, "number", parameters))
    asked = [(probe, trial) for trial in range(TRIALS) for probe in PROBES][1:]
    room = asyncio.Semaphore(AT_ONCE)

    async def one(probe: str) -> ChatAnswer:
        async with room:
            return await models.complete(_request(model, probe, parameters))

    answers = [first, *await asyncio.gather(*(one(probe) for probe, _ in asked))]
    probes = ["number", *(probe for probe, _ in asked)]
    return [(probe, kind_of(answer)) for probe, answer in zip(probes, answers, strict=True)], answers


def _request(model: str, probe: str, parameters: Mapping[str, Any]) -> ChatRequest:
    message = {"role": "user", "content": PROBES[probe]}
    return ChatRequest(model=model, messages=(message,), parameters=dict(parameters))
