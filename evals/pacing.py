"""How many calls one endpoint gets at a time. Pure: time is an argument, so that every decision can be replayed.

The number of parallel calls is found as TCP finds its window (additive increase, multiplicative decrease; Jacobson 1988): it
doubles per round until the endpoint first says "not so often", from then on it grows by one per round and shrinks by a factor
at each such answer. Calls that were under way when it shrank say nothing about the new number and do not shrink it again.
`Retry-After` closes the endpoint for every call, and so does a rate-limit header that says nothing is left.
"""

from __future__ import annotations

from math import inf
from typing import Final

from promptship.chat import RateLimits

START: Final = 16
"""Parallel calls to begin with: enough to be fast, few enough that any provider takes them."""
FIRST_CUT: Final = 0.5
"""The doubling that went too far is taken back."""
CUT: Final = 0.7
FAILURES_PER_CUT: Final = 3
"""A lone error of the server says nothing about load; so many in a row do."""
CLOSED_S: Final = 0.5
CLOSED_S_MAX: Final = 16.0
"""Pause after "not so often" without a time: doubles while it goes on."""
ROUNDS_BELIEVED: Final = 4
"""A time that is named is believed so often in a row; an endpoint that goes on complaining gets the doubling pause as well."""
HOLD_S_MAX: Final = 10.0
"""A rate-limit header tells when the whole quota is back, often minutes; some of it is back much sooner, so look again."""
SILENT_CALLS: Final = 5
"""Silence is the word of so many calls at least: one or two cases that take for ever say nothing about the endpoint."""


class Pace:
    """Parallel calls of one endpoint: at most `cap`; exactly `cap` when not `adaptive`, which still honours pauses."""

    def __init__(self, *, cap: int, start: int = START, adaptive: bool = True) -> None:
        self.cap = cap
        self.limit = float(min(start, cap) if adaptive else cap)
        """Parallel calls at present."""
        self.active = 0
        """Calls under way."""
        self._adaptive = adaptive
        self._doubling = True
        self._cut_at = -inf
        self._failures = 0
        self._throttles = 0
        self._throttled_at = -inf
        self._closed_until = -inf
        self._requests_left: int | None = None
        self._tokens_left: int | None = None
        self._left_until = -inf
        self._tokens_mean = 0.0

    def wait_s(self, now: float) -> float:
        """0: a call may start. Otherwise how long until it may; infinite: when another one has ended."""
        if self.active >= int(self.limit):
            return inf
        if now < self._closed_until:
            return self._closed_until - now
        if now < self._left_until and self._nothing_left():
            return self._left_until - now
        return 0.0

    def started(self) -> None:
        """A call began."""
        self.active += 1

    def ended(self) -> None:
        """A call ended, whatever came of it."""
        self.active -= 1

    def answered(self, now: float, limits: RateLimits | None = None, tokens: int = 0) -> None:
        """An answer came; called before `ended`. `tokens`: in and out."""
        self._failures = self._throttles = 0
        if tokens:
            self._tokens_mean += (tokens - self._tokens_mean) * (0.1 if self._tokens_mean else 1.0)
        if limits is not None:
            self._requests_left, self._tokens_left = limits.requests_left, limits.tokens_left
            reset_s = 1.0 if limits.reset_s is None else limits.reset_s
            self._left_until = now + min(reset_s, HOLD_S_MAX)
        if self._adaptive and self.active >= int(self.limit):  # an idle endpoint proves nothing
            self.limit = min(float(self.cap), self.limit + (1.0 if self._doubling else 1.0 / self.limit))

    def throttled(self, now: float, began: float, retry_after_s: float | None) -> None:
        """The endpoint said "not so often" to a call that began at `began`."""
        self._cut(now, began)
        if began >= self._throttled_at:  # calls that were under way together are one complaint
            self._throttled_at = now
            self._throttles += 1
        rounds = self._throttles - (1 if retry_after_s is None else ROUNDS_BELIEVED)
        longest = min(CLOSED_S * 2.0 ** min(rounds, 10), CLOSED_S_MAX) if rounds >= 0 else 0.0
        self._closed_until = max(self._closed_until, now + max(longest, retry_after_s or 0.0))

    def failed(self, now: float, began: float) -> None:
        """No answer: a reset, a timeout, an error of the server."""
        self._failures += 1
        if self._failures % FAILURES_PER_CUT == 0:
            self._cut(now, began)

    def _cut(self, now: float, began: float) -> None:
        if self._adaptive and began >= self._cut_at:
            self.limit = max(1.0, self.limit * (FIRST_CUT if self._doubling else CUT))
            self._doubling = False
            self._cut_at = now

    def _nothing_left(self) -> bool:
        """Calls under way may not have been counted by the endpoint yet, so they are taken off."""
        if self._requests_left is not None and self.active >= self._requests_left:
            return True
        return self._tokens_left is not None and (self.active + 1) * self._tokens_mean > self._tokens_left


class Silence:
    """How long an endpoint has been asked and nothing was heard of it. Waiting while nobody asks is no silence.

    Heard is any answer, also that a request is wrong or that it is not the time. `max_s`: longer is the end.
    """

    def __init__(self, max_s: float = inf) -> None:
        self.calls = 0
        """Calls since the last word that got none."""
        self._max_s = max_s
        self._since: float | None = None
        """When the first call began after the last word; None: none has."""

    def began(self, now: float) -> None:
        """A call began."""
        if self._since is None:
            self._since = now

    def heard(self) -> None:
        """There was an answer of any kind."""
        self.calls, self._since = 0, None

    def missed(self, now: float, *, again: bool) -> bool:
        """A call got nothing; `again`: it was counted already, at its first attempt. True: the endpoint is down."""
        self.calls += not again
        return self.calls >= SILENT_CALLS and self.seconds(now) >= self._max_s

    def seconds(self, now: float) -> float:
        """Length of the silence."""
        return 0.0 if self._since is None else now - self._since
