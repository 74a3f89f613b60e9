"""The modal that asks why a release is rejected."""

from __future__ import annotations

from typing import Any, Final

import orjson

from promptship.adapters.slack.blocks import clip, escape, section

CALLBACK: Final = "promptship_reject"
REASON: Final = "reason"
"""Block and input of the reason."""
_REASON_INPUT_MAX: Final = 2000


def reject_view(*, release_id: str, seq: int, prompt: str, channel: str) -> dict[str, Any]:
    """A view for `views.open`. What it is about comes back in `private_metadata`; who sent it comes from Slack."""
    about = {"release_id": release_id, "seq": seq, "channel": channel}
    return {
        "type": "modal",
        "callback_id": CALLBACK,
        "private_metadata": orjson.dumps(about).decode(),
        "title": _plain("Reject this release"),
        "submit": _plain("Reject"),
        "close": _plain("Go back"),
        "blocks": [
            section(f"*{escape(clip(prompt, 200))}*\nThe stable version gets all traffic back at once."),
            {
                "type": "input",
                "block_id": REASON,
                "label": _plain("Why?"),
                "hint": _plain("The author and everybody after him reads it."),
                "element": {
                    "type": "plain_text_input",
                    "action_id": REASON,
                    "multiline": True,
                    "min_length": 1,
                    "max_length": _REASON_INPUT_MAX,
                    "focus_on_load": True,
                },
            },
        ],
    }


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}
