"""Has what a model answers changed? Evidence that may be looked at every day, for ever: a conformal test martingale. Pure.

If nothing has changed, the answers to one question are exchangeable: yesterday's and today's could be swapped. So the rank of each new
answer among all answers to its own question, ties broken at random, is uniform on 0..1 and independent of the ranks before it (smoothed
conformal p-values; Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", theorem 11.1, with one category per question,
"Mondrian", ibid. section 4.6). Bets against uniform ranks make a martingale from 1: by Ville's inequality it ever reaches 1/alpha with
probability at most alpha, whenever and however often it is looked at (Vovk, Nouretdinov and Gammerman, "Testing exchangeability on-line").

No question needs a known rate, and none is compared with another: a case that always fails says nothing, one that always passed and now
fails says much. Bets are the power family k p^(k-1) of small ranks, mixed with fixed share (Herbster and Warmuth; the "sleepy jumper" of
Vovk et al., "Retrain or not retrain"), so that drift that comes late is met by fresh capital. They look at earlier ranks only, never at
the answers: ranks are independent of each other, not of the bag they were taken in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log
from typing import Final

POWERS: Final = (1.0, 0.95, 0.9, 0.8, 0.6)
"""Exponents of the bets; 1 is cash, which neither wins nor loses."""
MOVED: Final = 0.001
"""Part of the capital that is dealt out anew before each bet."""
CASH: Final = 0.3
_RANK_MIN: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Evidence:
    """Capital by bet, as logarithms. It began with 1 in all."""

    logs: tuple[float, ...]
    peak: float = 0.0
    """Largest logarithm of the whole so far."""

    @property
    def log_e(self) -> float:
        """Logarithm of the whole capital: 0 is no evidence."""
        most = max(self.logs)
        return most + log(sum(exp(one - most) for one in self.logs))

    def shows(self, alpha: float) -> bool:
        """Whether it has ever been so large that chance does it with probability at most alpha."""
        return self.peak >= -log(alpha)


def begun() -> Evidence:
    """No evidence yet: a capital of 1, part of it cash."""
    rest = (1 - CASH) / (len(POWERS) - 1)
    return Evidence(tuple(log(CASH if power == 1 else rest) for power in POWERS))


def bet(before: Evidence, rank: float) -> Evidence:
    """After one more rank, 0..1; small ones are surprises."""
    whole = before.log_e
    at = log(max(rank, _RANK_MIN))
    logs = []
    for one, power in zip(before.logs, POWERS, strict=True):
        share = (1 - MOVED) * exp(one - whole) + MOVED / len(POWERS)
        logs.append(whole + log(share) + log(power) + (power - 1) * at)
    after = Evidence(tuple(logs))
    return Evidence(after.logs, peak=max(before.peak, after.log_e))


def rank_of_failure(passed: int, failed: int, *, fails: bool, tie: float) -> float:
    """Rank of one more trial among all of its case, failures first. `passed` and `failed` count the trials before it."""
    everything = passed + failed + 1
    worse = failed + fails
    return tie * worse / everything if fails else (worse + tie * (everything - worse)) / everything


def rank_of_rarity(seen: Mapping[str, int], kind: str, *, tie: float) -> float:
    """Rank of one more answer among all to its question, the rarest kinds first. `seen` counts the kinds before it."""
    counts = {**seen, kind: seen.get(kind, 0) + 1}
    mine = counts[kind]
    rarer = sum(count for count in counts.values() if count < mine)
    alike = sum(count for count in counts.values() if count == mine)
    return (rarer + tie * alike) / sum(counts.values())


def tie_of(*parts: object) -> float:
    """A number in 0..1 that nobody's answers have a part in, and that is the same when a look is taken again."""
    text = "\0".join(str(part) for part in parts)
    return (int.from_bytes(hashlib.sha256(text.encode()).digest()[:7]) + 0.5) / 2**56
