"""An orchestrator that only writes down what it was asked to start."""

from __future__ import annotations

from collections.abc import Sequence

from promptship.errors import Unavailable
from promptship.ports import CancelledRun


class MemoryOrchestrator:
    """Keeps runs by their key. Set `down` to make it unreachable, put a release's id into `cancels` as a person would."""

    def __init__(self) -> None:
        self.runs: dict[str, tuple[str, str]] = {}
        """Run id and release id by key, in the order of asking."""
        self.reviews: dict[str, tuple[str, tuple[str, int, str]]] = {}
        """Run id and (host, number, head) by key."""
        self.cancels: set[str] = set()
        """Releases one of whose runs somebody has cancelled."""
        self.down = False

    def start(self, release_id: str, *, key: str) -> str:
        """Ask for a run; the same key twice is one run, that of the first release asked for."""
        self._answer()
        run_id, _ = self.runs.setdefault(key, (f"run-{len(self.runs) + 1}", release_id))
        return run_id

    def start_review(self, host: str, number: int, head: str, *, key: str) -> str:
        """The same for a review."""
        self._answer()
        run_id, _ = self.reviews.setdefault(key, (f"review-{len(self.reviews) + 1}", (host, number, head)))
        return run_id

    def cancelled(self, releases: Sequence[str]) -> Sequence[CancelledRun]:
        """Those in `cancels`."""
        self._answer()
        return [CancelledRun(one, "run-1") for one in releases if one in self.cancels]

    def settle(self, release_id: str, *, keep: str) -> None:  # noqa: ARG002 - the port's
        """Nothing is parked here."""
        self._answer()

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("the orchestrator is down")

    @property
    def started(self) -> list[str]:
        """Release ids in the order their runs were asked for."""
        return [release_id for _, release_id in self.runs.values()]
