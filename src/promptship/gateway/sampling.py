"""Answers for the scorer: drawn before they exist, gathered as they pass, handed on when they are complete.

Only whole answers without a fault are handed on: the others are counted as errors, and there is nothing to judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from promptship.client.live import LiveTable
from promptship.routing.api import Api
from promptship.routing.choice import Choice
from promptship.routing.sampling import drawn

PIECES_BYTES_MAX = 4_000_000
"""A longer stream is not gathered."""


class Samples(Protocol):
    """Where answers go. Never raises, never waits."""

    @property
    def dropped(self) -> int:
        """Answers that were drawn and did not get there."""
        ...

    def offer(self, sample: Mapping[str, Any], bytes_: int) -> None:
        """Hand on one answer, as the fields of `promptship.routing.sampling.Sample`."""
        ...

    def close(self) -> None:
        """Everything to the disk."""
        ...


class Tap:
    """Gathers one answer that was drawn."""

    __slots__ = ("_bytes", "_fields", "_pieces", "_samples")

    def __init__(self, samples: Samples, fields: dict[str, Any]) -> None:
        self._samples = samples
        self._fields = fields
        self._pieces: list[bytes] = []
        self._bytes = 0

    def piece(self, piece: bytes) -> int:
        """A part of a stream; returns how many bytes are held because of it."""
        self._bytes += len(piece)
        if self._bytes > PIECES_BYTES_MAX:
            self._pieces.clear()
            return 0
        self._pieces.append(piece)
        return len(piece)

    def ended(self, question: bytes, latency_ms: float, answer: bytes | None = None) -> None:
        """The answer is complete; None: it came in pieces."""
        whole = b"".join(self._pieces) if answer is None else answer
        size = self._bytes if answer is None else len(answer)
        fields = self._fields
        fields["question"] = question.decode("utf-8", "replace")
        fields["answer"] = whole.decode("utf-8", "replace")
        fields["latency_ms"] = latency_ms
        self._samples.offer(fields, len(question) + size)


@dataclass(frozen=True, slots=True)
class Sampler:
    """Draws answers by the checks of the routing table."""

    live: LiveTable
    samples: Samples

    def tap(
        self, choice: Choice, api: Api, *, id: str, at_ms: int, streamed: bool, variables: Mapping[str, Any]  # noqa: A002 - Sample.id
    ) -> Tap | None:  # fmt: skip
        """Something to gather the answer with; None: it was not drawn, or was asked for by a pin on the candidate."""
        table = self.live.table
        sampling = None if table is None else table.sampling.get(choice.prompt)
        if sampling is None or (choice.release is None and choice.arm != "stable"):
            return None
        checks = drawn(sampling, id, choice.arm)
        if not checks:
            return None
        fields: dict[str, Any] = {
            "id": id, "at_ms": at_ms, "prompt": choice.prompt, "version": choice.version, "arm": choice.arm,
            "release": choice.release, "stage": choice.stage, "unit": choice.unit, "plan": sampling.release,
            "checks": [check.name for check in checks], "api": api, "streamed": streamed,
        }  # fmt: skip
        if any(check.variables for check in checks):
            fields["variables"] = dict(variables)
        return Tap(self.samples, fields)
