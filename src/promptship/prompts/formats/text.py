"""Plain text and Markdown: the whole text is one message.

Front matter may hold every native key but `messages`, and `role` (default: user). Lines such as `system:` are just text: no
convention of Markdown makes them anything else; a prompt with several messages is a `.prompty` or `.prompt.yaml` file.
"""

from __future__ import annotations

from promptship.prompts.formats import front_matter
from promptship.prompts.formats.draft import Draft
from promptship.prompts.model import Prompt


def read(draft: Draft, text: str) -> None:
    """Fill the draft from a text file."""
    parts = front_matter.split(draft, text)
    draft.infer = True
    known = (set(Prompt.model_fields) - {"messages"}) | {"role"}
    values = draft.section(parts.values, "", known)
    role = values.pop("role", "user")
    draft.values = {**values, "messages": [{"role": role, "content": parts.body}]}
    if "role" in draft.lines:
        draft.lines["messages[0].role"] = draft.lines["role"]
    draft.lines |= {"messages[0]": parts.body_line, "messages[0].content": parts.body_line}
    if not parts.body.strip():
        draft.wrong("messages[0].content", "empty", "expected the text of the message")
