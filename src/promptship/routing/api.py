"""The words a client may speak to the gateway; one observation means the same in each of them."""

from __future__ import annotations

from typing import Literal

Api = Literal["chat", "responses", "messages", "embeddings"]
"""OpenAI's chat completions, OpenAI's responses, Anthropic's messages, OpenAI's embeddings."""
