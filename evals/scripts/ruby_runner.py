"""Operation of the limited process: Ruby, one process per call, under the same limits. Standard library only."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any, Final

from promptship.evals.scripts.failing import Failed, too_long
from promptship.evals.scripts.limits import alarm

_PROGRAM: Final = Path(__file__).with_name("runner.rb")
_GRACE_S: Final = 1.0


def run(head: dict[str, Any], body: bytes) -> bytes:
    """Call the code with a list of values in a Ruby of its own."""
    limit_s = head["limit"]
    alarm(limit_s + _GRACE_S)  # the process that waits must outlive the one that works
    sent = json.dumps({"head": head, "values": json.loads(body)}).encode()
    command = [head["ruby"], "--disable-gems", str(_PROGRAM)]
    try:
        done = subprocess.run(  # noqa: S603 - running the suite's script is this program's purpose
            command, input=sent, stdout=subprocess.PIPE, timeout=limit_s, check=False,
            cwd=head.get("root") or "/", stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise too_long(limit_s) from None
    except OSError as error:
        raise Failed("Ruby does not start", str(error)) from None
    return _value(done.stdout, done.returncode)


def _value(said: bytes, status: int) -> bytes:
    try:
        answer = json.loads(said)
    except ValueError:
        if status == -signal.SIGXFSZ:
            raise Failed("the script wrote a file, which scripts may not") from None
        ending = f"signal {-status}" if status < 0 else f"status {status}"
        raise Failed(f"the script ended its process with {ending}") from None
    if "value" in answer:
        return json.dumps(answer["value"]).encode()
    if answer.get("memory"):
        raise Failed("the script needs more memory than it may have")
    raise Failed(answer["reason"], answer["detail"], raised=True)
