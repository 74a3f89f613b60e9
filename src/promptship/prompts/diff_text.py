"""A prompt diff as text for people: `[-old-]{+new+}`, like git's word diff. Pure; colour belongs to the terminal's layer."""

from __future__ import annotations

import re
from collections.abc import Iterator

from promptship.prompts.diff import Change, FieldChange, Hunk, MessageDiff, Op, PromptDiff

CONTEXT_LINES = 2
"""Unchanged lines shown on each side of a change."""

_CONTROLS = {code: 0x2400 + code for code in range(0x20) if code not in {0x09, 0x0A}} | {0x7F: 0x2421}
"""Control characters as pictures: a prompt must not steer the terminal it is read on."""
_MARKS = {Op.EQUAL: ("", ""), Op.DELETE: ("[-", "-]"), Op.INSERT: ("{+", "+}")}


def to_text(diff: PromptDiff) -> str:
    """Plain text, one part per changed message and one line per changed value; says so when nothing changed."""
    return "\n\n".join("\n".join(part) for part in _parts(diff)) + "\n"


def to_markdown(diff: PromptDiff) -> str:
    """The same with a heading per message and the texts in code blocks that their content cannot close."""
    parts: list[str] = []
    for head, *body in _parts(diff):
        text = "\n".join(body)
        if not body:
            parts.append(head)
            continue
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
        parts.append(f"**{head}**\n\n{fence}text\n{text}\n{fence}")
    return "\n\n".join(parts) + "\n"


def _parts(diff: PromptDiff) -> Iterator[list[str]]:
    """Head line and body lines of every part."""
    if diff.empty:
        yield ["The model sees no difference."]
    for message in diff.messages:
        if message.change is not Change.SAME:
            yield [_head(message), *_body(message.hunks)]
    if diff.fields:
        yield ["Settings", *map(_field, diff.fields)]
    if diff.about:
        yield ["About the prompt (not seen by the model)", *map(_field, diff.about)]


def _head(message: MessageDiff) -> str:
    index = message.after_index if message.after_index is not None else message.before_index
    speaker = message.after_speaker or message.before_speaker
    if message.before_speaker and message.after_speaker and message.before_speaker != message.after_speaker:
        speaker = f"{message.before_speaker} -> {message.after_speaker}"
    where = f", was messages[{message.before_index}]" if message.change is Change.MOVED else ""
    return f"messages[{index}] {speaker}: {message.change}{where}".translate(_CONTROLS)


def _field(change: FieldChange) -> str:
    old = "(not there)" if change.before is None else change.before
    new = "(not there)" if change.after is None else change.after
    return f"{change.key}: {old} -> {new}".translate(_CONTROLS)


def _body(hunks: tuple[Hunk, ...]) -> list[str]:
    pieces = []
    for index, hunk in enumerate(hunks):
        opening, closing = _MARKS[hunk.op]
        text = hunk.text.translate(_CONTROLS)
        if hunk.op is Op.EQUAL:
            text = _shortened(text, first=index == 0, last=index == len(hunks) - 1)
        pieces.append(f"{opening}{text}{closing}")
    return "".join(pieces).split("\n")


def _shortened(text: str, *, first: bool, last: bool) -> str:
    """An unchanged stretch without its middle; only its side towards a change matters."""
    lines = (text.removesuffix("\n") if last else text).split("\n")
    head = 0 if first else CONTEXT_LINES
    # The line a change stands on is not context, so one more is kept on that side.
    tail = 0 if last else CONTEXT_LINES + 1
    head += not first
    left_out = len(lines) - head - tail
    if left_out <= 1 or (first and last):
        return text
    return "\n".join([*lines[:head], f"⋯ {left_out} unchanged lines ⋯", *(lines[-tail:] if tail else [])])
