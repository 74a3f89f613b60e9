"""How much a text shares with references, by words: BLEU, GLEU, ROUGE-N, METEOR. 0 to 1, ignoring upper and lower case."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

from promptship.evals.assertions.base import (
    AssertionSpec,
    BuildContext,
    Dialect,
    Maker,
    invalid,
    shown,
    text_value,
)
from promptship.evals.assertions.porter import stem
from promptship.evals.assertions.values import is_number
from promptship.evals.score import Judged, Scored, Subject

ORDERS: Final = 4
"""Longest run of words that BLEU and GLEU look at."""
_NEARLY_NOTHING: Final = 1e-7


def runs(words: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    """How often every run of `order` words occurs."""
    return Counter(tuple(words[at : at + order]) for at in range(len(words) - order + 1))


def bleu(text: str, references: Sequence[str], *, best_reference: bool = False) -> float:
    """BLEU of one text, up to runs of four words, brevity penalty by the nearest length.

    Papineni et al., "BLEU: a method for automatic evaluation of machine translation", ACL 2002. For single sentences: runs
    longer than the text are left out, and a precision of zero counts as 1e-7. `best_reference`: clip the counts by one
    reference at a time and take the best, as promptfoo does, not by all of them together.
    """
    words = text.lower().split()
    if not words:
        return 0.0
    others = [reference.lower().split() for reference in references]
    logs = []
    for order in range(1, min(ORDERS, len(words)) + 1):
        have = runs(words, order)
        allowed = [runs(other, order) for other in others]
        if best_reference:
            shared = max((have & one).total() for one in allowed)
        else:
            union: Counter[tuple[str, ...]] = Counter()
            for one in allowed:
                union |= one
            shared = (have & union).total()
        logs.append(math.log(shared / have.total() if shared else _NEARLY_NOTHING))
    nearest = min((len(other) for other in others), key=lambda length: (abs(length - len(words)), length))
    penalty = 1.0 if len(words) > nearest else math.exp(1 - nearest / len(words))
    return penalty * math.exp(math.fsum(logs) / len(logs))


def gleu(text: str, references: Sequence[str]) -> float:
    """Google-BLEU: the smaller of precision and recall over all runs of one to four words; the best reference counts.

    Wu et al., "Google's Neural Machine Translation System", 2016, section 6. Full stops at the end of words do not count.
    """
    words = _without_stops(text.lower())
    return max((_gleu(words, _without_stops(reference.lower())) for reference in references), default=0.0)


def _gleu(words: Sequence[str], other: Sequence[str]) -> float:
    if not any(words) or not any(other):
        return 0.0
    shared = sum((runs(words, order) & runs(other, order)).total() for order in range(1, ORDERS + 1))
    sizes = [sum(max(len(side) - order + 1, 0) for order in range(1, ORDERS + 1)) for side in (words, other)]
    return shared / max(sizes)


def _without_stops(text: str) -> list[str]:
    return [word.rstrip(".") for word in text.split()]


def rouge_n(text: str, reference: str, order: int = 1) -> float:
    """ROUGE-N as F1 of clipped counts, on words as the Penn Treebank cuts them.

    Lin, "ROUGE: a package for automatic evaluation of summaries", 2004.
    """
    have, wanted = runs(treebank_words(text.lower()), order), runs(treebank_words(reference.lower()), order)
    shared = (have & wanted).total()
    return 2 * shared / (have.total() + wanted.total()) if shared else 0.0


_ELLIPSIS: Final = re.compile(r"\.{3}")
_COLON: Final = re.compile(r"[:,](?!\d)")
_SIGN: Final = re.compile(r"[;@#$%&?!\[\](){}<>]")
_LAST_STOP: Final = re.compile(r"([^.])(?<!\b[A-Za-z]\.[A-Za-z])(\.)([\])}>'\s]*)$")
_QUOTE: Final = re.compile(r"``|''|\"")
_POSSESSIVE: Final = re.compile(r"([^'])' ")
_SHORT: Final = re.compile(r"'([smd]) ", re.IGNORECASE)
_CLITIC: Final = re.compile(r"('ll|'re|'ve|n't) ", re.IGNORECASE)
_JOINED: Final = tuple(
    re.compile(rf"(?<!\w){pattern}(?!\w)", re.IGNORECASE)
    for pattern in ("(can)(not)", "(d)('ye)", "(gim)(me)", "(gon)(na)", "(got)(ta)", "(lem)(me)", "(more)('n)",
                    "(wan)(na)(?= )", "('t)(is)", "('t)(was)")
)  # fmt: skip


def treebank_words(text: str) -> list[str]:
    """Words and signs of a sentence, cut as in the Penn Treebank (R. MacIntyre's tokenizer of 1995): `it 's`, `do n't`."""
    text = " ".join(text.split())
    if not text:
        return []
    opened = False

    def quote(_found: re.Match[str]) -> str:
        nonlocal opened
        opened = not opened
        return " `` " if opened else " '' "

    text = _QUOTE.sub(quote, text)
    text = _ELLIPSIS.sub(" ... ", text)
    text = _COLON.sub(r" \g<0> ", text)
    text = _LAST_STOP.sub(r"\1 \2\3 ", text)
    text = _SIGN.sub(r" \g<0> ", text).replace("--", " -- ")
    text = f" {text} "
    text = _POSSESSIVE.sub(r"\1 ' ", text)
    text = _SHORT.sub(r" '\1 ", text)
    text = _CLITIC.sub(r" \1 ", text)
    for joined in _JOINED:
        text = joined.sub(r" \1 \2 ", text)
    return text.split()


@dataclass(frozen=True, slots=True)
class Meteor:
    """METEOR: matched words, recall above precision, less for every break in their order.

    Banerjee and Lavie, "METEOR: an automatic metric for MT evaluation", ACL 2005, with the weights of Lavie and Agarwal 2007.
    Words match exactly, then by their Porter stems. Synonyms (WordNet, a download) do not match.
    """

    alpha: float = 0.9
    """Weight of precision in the harmonic mean of precision and recall, 0 to 1."""
    beta: float = 3.0
    gamma: float = 0.5
    """Most that breaks can take away."""

    def __call__(self, text: str, references: Sequence[str]) -> float:
        """The best reference counts."""
        words = _without_stops(text.lower())
        return max(
            (self._one(words, _without_stops(reference.lower())) for reference in references), default=0.0
        )

    def _one(self, words: Sequence[str], other: Sequence[str]) -> float:
        pairs = matched_words(words, other)
        if not pairs:
            return 0.0
        precision, recall = len(pairs) / len(words), len(pairs) / len(other)
        mean = precision * recall / (self.alpha * precision + (1 - self.alpha) * recall)
        chunks = 1 + sum((a + 1, b + 1) != after for (a, b), after in pairwise(pairs))
        return float((1 - self.gamma * (chunks / len(pairs)) ** self.beta) * mean)


def matched_words(words: Sequence[str], other: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of places with the same word, or else the same stem; from the end on, every place at most once; in order."""
    pairs: list[tuple[int, int]] = []
    left, right = list(enumerate(words)), list(enumerate(other))
    for normal in (str, stem):
        places: dict[str, list[int]] = {}
        for place, word in right:
            places.setdefault(normal(word), []).append(place)
        kept = []
        for place, word in reversed(left):
            found = places.get(normal(word))
            if found:
                pairs.append((place, found.pop()))
            else:
                kept.append((place, word))
        free = {place for rest in places.values() for place in rest}
        left, right = kept[::-1], [(place, word) for place, word in right if place in free]
    return sorted(pairs)


# The assertions -------------------------------------------------------------------------------------------------------


class Measure(Protocol):
    """How much a text has of its references, 0 to 1."""

    def __call__(self, text: str, references: Sequence[str]) -> float:
        """The measure."""
        ...


@dataclass(frozen=True, slots=True)
class Overlap:
    """The answer shares enough with one of the references."""

    name: str
    measure: Measure
    references: tuple[str, ...]
    threshold: float

    async def judge(self, subject: Subject) -> Judged:
        """The measure is the score."""
        score = min(self.measure(subject.output, self.references), 1.0)
        reached = score >= self.threshold
        return Judged(
            Scored(reached, score, "" if reached else f"{self.name} {score:.3f}, wanted {self.threshold:g}")
        )


def overlapping(name: str, default: float) -> Maker:
    """Maker of rouge-n, bleu, gleu, meteor; `value`: a reference, or several; `threshold`: `default` without it."""

    def make(spec: AssertionSpec, context: BuildContext) -> Overlap:
        threshold = default if spec.threshold is None else spec.threshold
        if context.dialect is Dialect.NATIVE and not 0 <= threshold <= 1:
            raise invalid("threshold", shown(spec.threshold), "expected a number from 0 to 1")
        return Overlap(name, _measure(name, spec, context), _references(name, spec, context), threshold)

    return make


def _references(name: str, spec: AssertionSpec, context: BuildContext) -> tuple[str, ...]:
    strict = context.dialect is Dialect.PROMPTFOO
    if isinstance(spec.value, list) and not (strict and name == "rouge-n"):
        if not spec.value or not all(isinstance(item, str) for item in spec.value):
            raise invalid("value", shown(spec.value), "expected a text, or a list of texts")
        return tuple(spec.value)
    if strict and not isinstance(spec.value, str):
        raise invalid("value", shown(spec.value), "expected a text")
    return (text_value(spec),)


def _rouge_1(text: str, references: Sequence[str]) -> float:
    return max(rouge_n(text, reference) for reference in references)


def _measure(name: str, spec: AssertionSpec, context: BuildContext) -> Measure:
    if name == "rouge-n":
        return _rouge_1
    if name == "gleu":
        return gleu
    if name == "bleu":
        return _bleu_best if context.dialect is Dialect.PROMPTFOO else bleu
    weights = (spec.config or {}) if context.dialect is Dialect.NATIVE else {}
    for key, value in weights.items():
        if key not in {"alpha", "beta", "gamma"}:
            raise invalid(f"config.{key}", "an unknown key", "expected alpha, beta or gamma")
        if not is_number(value) or value < 0 or (value > 1 and key != "beta"):
            raise invalid(f"config.{key}", shown(value), "expected a number from 0 to 1 (beta: at least 0)")
    return Meteor(**weights)


def _bleu_best(text: str, references: Sequence[str]) -> float:
    return bleu(text, references, best_reference=True)
