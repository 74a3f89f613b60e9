"""What the rows of one promptfoo run share: outputs stored for later rows, conversations, the order of those that go one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

CONVERSATION: Final = "_conversation"
Conversation = tuple[str, str, int, str]
"""Provider, prompt, column, `metadata.conversationId`."""


@dataclass(slots=True, kw_only=True)
class RunState:
    """Lives as long as a run, in one event loop."""

    run_id: str = ""
    remembers: bool = False
    """Some prompt uses `_conversation`, so what was said is kept."""
    ends_at: float | None = None
    """Time of the loop when the run is over (`maxEvalTimeMs`); None: whenever it is done."""
    stored: dict[str, Any] = field(default_factory=dict)
    """Variables from `options.storeOutputAs`."""
    conversations: dict[Conversation, list[dict[str, Any]]] = field(default_factory=dict)
    order: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by rows that go one by one; it serves them in the order they asked."""

    def said(self, key: Conversation, prompt: str, output: Any, metadata: Mapping[str, Any]) -> None:
        """Remember an exchange, as templates see it in `_conversation`."""
        if not self.remembers:
            return
        parsed = _parsed(prompt)
        last: Any = None
        if isinstance(parsed, list) and parsed:
            last = parsed[-1]
            if isinstance(last, dict) and last.get("content"):
                last = last["content"]
        asked = parsed or prompt
        exchange = {"prompt": asked, "input": last or asked, "output": output or ""}
        self.conversations.setdefault(key, []).append(
            exchange | ({"metadata": dict(metadata)} if metadata else {})
        )


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
