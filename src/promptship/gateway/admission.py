"""How much the gateway takes on at once: requests in flight and bytes held for them. What comes above is shed, not queued."""

from __future__ import annotations

from typing import Final, Self

from promptship.gateway.rejection import Rejection

RETRY_AFTER_S: Final = 1
OVERLOADED: Final = Rejection(
    429, "gateway_overloaded", "the gateway is at its limit; try again shortly", retry_after_s=RETRY_AFTER_S
)


class Admission:
    """The gateway's limits and what of them is in use."""

    def __init__(self, *, requests_max: int, held_bytes_max: int) -> None:
        self._requests_max = requests_max
        self._held_bytes_max = held_bytes_max
        self.requests = 0
        """In flight now."""
        self.held_bytes = 0
        """Of their bodies and answers."""
        self.shed = 0
        """Requests refused since the start."""

    def enter(self, bytes_: int) -> Ticket | None:
        """A place for a request whose body has that many bytes (0: not told); None: there is none."""
        if self.requests >= self._requests_max or self.held_bytes + bytes_ > self._held_bytes_max:
            self.shed += 1
            return None
        self.requests += 1
        self.held_bytes += bytes_
        return Ticket(self, bytes_)

    def fits(self, bytes_: int) -> bool:
        """Whether that many more bytes may be held."""
        return self.held_bytes + bytes_ <= self._held_bytes_max


class Ticket:
    """One request's place: `with ticket:` gives it back at the end."""

    __slots__ = ("_admission", "_bytes")

    def __init__(self, admission: Admission, bytes_: int) -> None:
        self._admission = admission
        self._bytes = bytes_

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._admission.requests -= 1
        self._admission.held_bytes -= self._bytes
        self._bytes = 0

    def grow_to(self, bytes_: int) -> bool:
        """The body has that many bytes by now; False: more than may be held."""
        more = bytes_ - self._bytes
        if more <= 0:
            return True
        if not self._admission.fits(more):
            self._admission.shed += 1
            return False
        self.add(more)
        return True

    def add(self, bytes_: int) -> None:
        """Bytes that are held in any case, such as an answer that has been paid for: what comes next waits for them."""
        self._bytes += bytes_
        self._admission.held_bytes += bytes_
