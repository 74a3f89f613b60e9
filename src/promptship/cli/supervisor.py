"""Start several processes, keep them running, stop them in order. What systemd does on a server, for one terminal."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

STOP_S_MAX = 15.0
"""A process that has not ended this long after SIGTERM is killed."""
_RESTART_PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0)
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Linux: SIGTERM when the supervisor dies, however it dies, so that no orphan keeps a port."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass(slots=True)
class Part:
    """One process: how it is started, and how to tell that it is ready."""

    name: str
    arguments: list[str]
    is_ready: Callable[[], bool]
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0


@dataclass(slots=True)
class Supervisor:
    """Runs parts until `stop`. Every part logs to `<logs>/<name>.log`; its process id stands in `<logs>/<name>.pid`."""

    parts: list[Part]
    logs: Path
    environment: dict[str, str]
    say: Callable[[str], None]
    stop: threading.Event = field(default_factory=threading.Event)

    def start(self, part: Part) -> None:
        """Start (again) one part."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with (self.logs / f"{part.name}.log").open("ab") as log:
            # A session of its own: Ctrl-C reaches the supervisor only, which then stops the parts in order.
            part.process = subprocess.Popen(  # noqa: S603 - our own arguments
                part.arguments, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.environment,
                start_new_session=True, preexec_fn=_die_with_parent,  # noqa: PLW1509 - prctl only
            )  # fmt: skip
        draft = self.logs / f".{part.name}.pid"
        draft.write_text(str(part.process.pid), encoding="ascii")
        draft.replace(self.logs / f"{part.name}.pid")  # whoever reads it never finds it empty

    def wait_ready(self, part: Part, *, timeout_s: float) -> bool:
        """Wait until a part is ready; False when it ended, time is up, or the supervisor is to stop."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and not self.stop.is_set():
            if part.process is None or part.process.poll() is not None:
                return False
            if part.is_ready():
                return True
            self.stop.wait(0.1)
        return False

    def keep_running(self) -> None:
        """Restart what ends by itself, with growing pauses, until `stop` is set."""
        while not self.stop.wait(0.3):
            for part in self.parts:
                if part.process is None or part.process.poll() is None:
                    continue
                pause_s = _RESTART_PAUSES_S[min(part.restarts, len(_RESTART_PAUSES_S) - 1)]
                code = part.process.returncode
                self.say(
                    f"{part.name} ended with {code}; starting it again in {pause_s:g} s (see {part.name}.log)"
                )
                if self.stop.wait(pause_s):
                    return
                part.restarts += 1
                self.start(part)

    def stop_all(self) -> None:
        """SIGTERM to every part in reverse order of starting, then wait; SIGKILL for what stays."""
        self.stop.set()
        running = [part for part in reversed(self.parts) if part.process and part.process.poll() is None]
        for part in running:
            assert part.process is not None  # noqa: S101 - filtered above
            part.process.terminate()
        deadline = time.monotonic() + STOP_S_MAX
        for part in running:
            assert part.process is not None  # noqa: S101 - filtered above
            try:
                part.process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                self.say(f"{part.name} did not stop in {STOP_S_MAX:g} s; killing it")
                os.killpg(part.process.pid, signal.SIGKILL)
                part.process.wait()
            (self.logs / f"{part.name}.pid").unlink(missing_ok=True)
