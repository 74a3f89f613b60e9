"""The limited process that runs what a suite brings along. Standard library only, until an operation needs more.

Requests come through the socket on standard input, answers go back the same way (`frames`). Memory, written files, children and
core dumps are limited before the first request, secrets are not in the environment, and a script that takes too long is ended by
the kernel.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from promptship.evals.scripts import frames
from promptship.evals.scripts.failing import Failed, too_much_memory
from promptship.evals.scripts.limits import Guard, alarm, limit

Operation = Callable[[dict[str, Any], bytes], bytes]
"""What a head asks for, with the body; the value as JSON. Raises Failed."""

FLUSH_S: Final = 0.002
"""How long an answer may wait for the answers of its batch."""


def _operation(name: str) -> Operation:
    """Imported when first asked for: the process of Python scripts never loads a JavaScript engine."""
    if name == "python":
        from promptship.evals.scripts import python_runner as module

        return module.run
    if name == "ruby":
        from promptship.evals.scripts import ruby_runner

        return ruby_runner.run
    if name == "javascript":
        from promptship.evals.scripts import javascript_runner

        return javascript_runner.run
    if name == "javascript_check":
        from promptship.evals.scripts import javascript_check

        return javascript_check.check
    from promptship.evals.scripts import checking

    return checking.regex if name == "regex" else checking.schema


class Worker:
    """Answers requests until the other side closes."""

    def __init__(self, channel: socket.socket, guard: Guard) -> None:
        self._channel = channel
        self._guard = guard
        self._operations: dict[str, Operation] = {}
        self._ready = bytearray()
        self._flushed = 0.0

    def serve(self) -> None:
        """Take requests in batches; answers go out together unless one of them takes its time."""
        buffer, process = bytearray(), os.getpid()
        while chunk := self._channel.recv(1 << 18):
            buffer += chunk
            self._flushed = time.monotonic()
            for number, head, body in frames.requests(buffer):
                status, answer = self._run(head, body)
                if os.getpid() != process:  # a script forked, and its child came back here
                    os._exit(0)
                self._ready += frames.answer(number, status, answer)
                last = status == frames.LAST
                if last or time.monotonic() - self._flushed > FLUSH_S:
                    self._flush()
                if last:
                    return
            self._flush()

    def _flush(self) -> None:
        if self._ready:
            self._channel.sendall(self._ready)
            self._ready.clear()
        self._flushed = time.monotonic()

    def _run(self, head: bytes, body: bytes) -> tuple[int, bytes]:
        """One request. A MemoryError ends the process after its answer: who knows what is left."""
        self._guard.reset()
        try:
            request = json.loads(head)
            name = request["op"]
            operation = self._operations.get(name) or self._operations.setdefault(name, _operation(name))
            alarm(request["limit"])
            answer = operation(request, body)
        except Failed as error:
            return _failed(error)
        except MemoryError:
            return frames.LAST, _failed(too_much_memory())[1]
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the answer is "no value"
            return _failed(Failed(f"the script could not run: {type(error).__name__}", str(error)))
        finally:
            alarm(0.0)
        if len(answer) > request["bytes_max"]:
            return _failed(Failed(f"the script returned more than {request['bytes_max'] >> 20} MiB"))
        return frames.VALUE, answer


def _failed(error: Failed) -> tuple[int, bytes]:
    return frames.FAILED, json.dumps(error.as_json()).encode()


def main() -> None:
    """Keep the socket for ourselves, silence the scripts, limit, serve."""
    channel = socket.socket(fileno=os.dup(0))
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(silence, descriptor)
    limit(int(sys.argv[1]))
    guard = Guard()
    guard.install()
    Worker(channel, guard).serve()
