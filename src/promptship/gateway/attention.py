"""Notices that the client has left, and stops the work for it: an answer nobody reads costs money upstream."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from promptship.gateway.wire import Receive


class Attention:
    """`async with Attention(receive) as attention:` cancels the task inside when the client hangs up.

    The body sees the cancellation once and must let it through; it ends at the `with`, and `gone` is then true. Every
    other cancellation passes.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._over = False
        self.gone = False

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("attention is paid inside a task")
        self._task = task
        self._watch = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        # No await between here and the watcher's own check: it cannot cancel a task that has moved on.
        self._over = True
        self._watch.cancel()
        if self.gone and isinstance(error, asyncio.CancelledError):
            return self._task.uncancel() == 0
        return False

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass  # an empty end of the body
        if not self._over:
            self.gone = True
            self._task.cancel()
