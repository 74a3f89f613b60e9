"""How an assertion asks its graders: once, and once more when the reply is no verdict; what fails is no score, never a zero."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from promptship.errors import ConfigError, Unavailable
from promptship.evals.assertions.judged_orders import AGAIN, RUBRICS_VERSION
from promptship.evals.assertions.judged_reading import Read, Unread
from promptship.evals.score import Judged, Part, Score, Unscored
from promptship.evals.services import Graders, ScriptFailed, Services, Spent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

T = TypeVar("T")
ASKS_MAX: Final = 2
_SAID_MAX: Final = 20_000


class NoVerdict(Exception):
    """An assertion cannot be scored. `reason` never quotes prompt or answer; `detail` may."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


@dataclass(slots=True)
class Hearing:
    """What one assertion asks for one answer, and what that takes. Methods raise what `Graders` raise, and NoVerdict."""

    graders: Graders
    who: Any = None
    tokens: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    judge: str = ""
    said: list[str] = field(default_factory=list)
    parts: tuple[Part, ...] = ()
    kept: bool = False
    """A reply came from an earlier run."""

    async def say(self, messages: Sequence[Mapping[str, Any]], read: Read[T]) -> T:
        """What the judge says, read. A judge whose reply cannot be read is told why and asked once more.

        Replies of an earlier run that cannot be read are not believed for ever: the judge is asked anew.
        """
        self.kept = False
        try:
            return await self._said(messages, read, anew=False)
        except NoVerdict:
            if not self.kept:
                raise
        return await self._said(messages, read, anew=True)

    async def _said(self, messages: Sequence[Mapping[str, Any]], read: Read[T], *, anew: bool) -> T:
        asked = list(messages)
        why = ""
        for _ in range(ASKS_MAX):
            reply, spent = await self.graders.say(asked, who=self.who, anew=anew)
            self._note(spent)
            self.kept = self.kept or spent.cached
            self.said.append(reply)
            try:
                return read(reply)
            except Unread as error:
                why = error.why
            asked = [
                *asked,
                {"role": "assistant", "content": reply},
                {"role": "user", "content": AGAIN.format(why=why)},
            ]
        raise NoVerdict("the judge gave no verdict that can be read", f"{why}: {self.said[-1][:500]}")

    async def embed(self, texts: Sequence[str]) -> list[Floats]:
        """One vector per text: finite, of one length, none of them zero."""
        import numpy as np  # not before it is needed: most suites compare no vectors

        vectors, spent = await self.graders.embed(texts, who=self.who)
        self._note(spent)
        try:
            rows = [np.asarray(vector, dtype=np.float64) for vector in vectors]
        except (TypeError, ValueError):
            raise NoVerdict("the embeddings are not vectors of numbers") from None
        if len(rows) != len(texts):
            raise NoVerdict(f"{len(rows)} embeddings came for {len(texts)} texts")
        if any(row.ndim != 1 or row.shape != rows[0].shape or not row.size for row in rows):
            raise NoVerdict("the embeddings are not vectors of one length")
        if not all(np.isfinite(row).all() for row in rows):
            raise NoVerdict("an embedding holds something that is no number")
        if not all(row.any() for row in rows):
            raise NoVerdict("an embedding is zero in every direction")
        return rows

    async def moderate(self, asked: str, said: str) -> Mapping[str, float]:
        """Flagged categories."""
        flags, spent = await self.graders.moderate(asked, said, who=self.who)
        self._note(spent)
        return flags

    async def classify(self, text: str) -> Mapping[str, float]:
        """Score of every label."""
        labels, spent = await self.graders.classify(text, who=self.who)
        self._note(spent)
        if not labels or not all(map(math.isfinite, labels.values())):
            raise NoVerdict("the classifier gave no scores")
        return labels

    def _note(self, spent: Spent) -> None:
        self.tokens += spent.tokens
        self.cost_usd += spent.cost_usd
        self.unpriced += spent.unpriced
        self.judge = " ".join(part for part in (spent.model, spent.fingerprint, RUBRICS_VERSION) if part)

    def judged(self, score: Score) -> Judged:
        """The result with everything it took."""
        return Judged(
            score, judge_tokens=self.tokens, judge_cost_usd=self.cost_usd, judge_unpriced=self.unpriced, parts=self.parts,
            said="\n\n".join(self.said)[:_SAID_MAX], judge=self.judge,
        )  # fmt: skip


async def heard(services: Services, who: Any, work: Callable[[Hearing], Awaitable[Score]]) -> Judged:
    """The score that `work` finds, with what it took; whatever fails on the way is Unscored. Raises Refused (401, 403)."""
    if services.graders is None:
        return Judged(Unscored("no judge is configured"))
    hearing = Hearing(services.graders, who)
    score: Score
    try:
        score = await work(hearing)
    except NoVerdict as error:
        score = Unscored(error.reason, error.detail)
    except ScriptFailed as error:
        score = Unscored(error.reason, error.detail)
    except Unavailable as error:
        score = Unscored("the judge did not answer", str(error))
    except ConfigError as error:
        score = Unscored("the judge cannot be asked like this", str(error))
    return hearing.judged(score)


def as_json(value: Any) -> str:
    """JSON as JavaScript writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
