"""Whether the units fell on the arms as the split intends (statistics 2(d)): if not, something loses units, and nothing may be concluded.

Given the split, each unit is the candidate's with probability `share`. Against that stands a Dirichlet-multinomial mixture around the
share: with X of N units the candidate's, E = B(k share + X, k (1-share) + N - X) / B(k share, k (1-share)) / (share^X (1-share)^(N-X))
(Lindon and Malek, "Anytime-valid inference for multinomial count data"). E is a martingale from 1, so it ever reaches 1/ALPHA with
probability at most ALPHA, and it depends on nothing but the counts of the stage: no state is kept, each stage begins anew. So is the
mean of two: a large k finds the few percent that are lost of very many units, a small one the half that is lost of a few hundred.

Units are what is randomised, so units are counted, not requests: a heavy user is no mismatch.
"""

from __future__ import annotations

import math
from typing import Final

from promptship.canary.evidence import ArmCounts

ALPHA: Final = 0.001
"""Chance that a correct split is ever called wrong, per stage."""
CONCENTRATION: Final = 20_000.0
"""k: how close to the intended share a wrong one is expected. A few percent off at a share of 2 % are what it finds best."""
CONCENTRATION_FEW: Final = 200.0
"""The other k. Without it nobody would see in 1,400 units that one of two equal arms has lost every second one."""
CONCENTRATIONS: Final = (CONCENTRATION, CONCENTRATION_FEW)
_SHARE_DIGITS: Final = 4
"""The split works in ten-thousandths (`promptship.routing.split`)."""


def log_e(assigned: ArmCounts, share: float) -> float:
    """Log e-value of "the units did not fall with this share"; 0 where there is nothing to split."""
    intended = round(share, _SHARE_DIGITS)
    if not 0 < intended < 1:
        return 0.0
    one, zero = assigned.candidate.requests, assigned.stable.requests
    chance = one * math.log(intended) + zero * math.log1p(-intended)
    wide, narrow = (
        _log_mixture(k * intended, k * (1 - intended), one, zero) - chance for k in CONCENTRATIONS
    )
    return max(wide, narrow) + math.log1p(math.exp(-abs(wide - narrow))) - math.log(2)


def _log_mixture(a: float, b: float, one: int, zero: int) -> float:
    return _log_beta(a + one, b + zero) - _log_beta(a, b)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
