"""An orchestrator that only writes down what it was asked to start."""

from __future__ import annotations

from promptship.errors import Unavailable


class MemoryOrchestrator:
    """Keeps runs by their key. Set `down` to make it unreachable."""

    def __init__(self) -> None:
        self.runs: dict[str, tuple[str, str]] = {}
        """Run id and release id by key, in the order of asking."""
        self.down = False

    def start(self, release_id: str, *, key: str) -> str:
        """Ask for a run; the same key twice is one run, that of the first release asked for."""
        if self.down:
            raise Unavailable("the orchestrator is down")
        run_id, _ = self.runs.setdefault(key, (f"run-{len(self.runs) + 1}", release_id))
        return run_id

    @property
    def started(self) -> list[str]:
        """Release ids in the order their runs were asked for."""
        return [release_id for _, release_id in self.runs.values()]
