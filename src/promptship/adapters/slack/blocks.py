"""Card -> Block Kit, within Slack's limits, and with no way out of the text for what others wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final

import orjson

from promptship.ports import Card
from promptship.render.card import FENCE

APPROVE: Final = "promptship_approve"
REJECT: Final = "promptship_reject"
ROLL_BACK: Final = "promptship_roll_back"
OPEN: Final = "promptship_open"

BLOCKS_MAX: Final = 50
SECTION_LENGTH_MAX: Final = 3000
HEADER_LENGTH_MAX: Final = 150
FALLBACK_LENGTH_MAX: Final = 3000
URL_LENGTH_MAX: Final = 3000
PREFORMATTED_LENGTH_MAX: Final = 6000
"""Slack names no limit for preformatted text; this keeps a message well under its total."""

Block = dict[str, Any]
_OPENING: Final = re.compile(r"^(`{3,})text$", re.MULTILINE)


def blocks(card: Card) -> list[Block]:
    """Header, evidence, change, then the buttons or the outcome. Never more than 50 blocks; what does not fit is said."""
    head: list[Block] = [
        {
            "type": "header",
            "text": {
                "type": "plain_text",
                "text": clip(card.title, HEADER_LENGTH_MAX) or "Release",
                "emoji": False,
            },
        }
    ]
    body = list(_evidence(card.lines))
    if card.diff.strip():
        body += [section("*What changed*"), *_change(card.diff)]
    foot = _buttons(card)
    if card.outcome:
        foot = [section(f"*{escape(card.outcome)}*"), *foot]
    room = BLOCKS_MAX - len(head) - len(foot)
    if len(body) > room:
        body = [*body[: room - 1], section("_There is more: see the release's page._")]
    return [*head, *body, *foot]


def fallback(card: Card) -> str:
    """What notifications and screen readers show."""
    return clip(escape(f"{card.title} {card.outcome}".strip()), FALLBACK_LENGTH_MAX)


def escape(text: str) -> str:
    """Slack's three control characters: after this no `<!channel>`, `<@U…>` or link can come out of the text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _evidence(lines: Iterable[str]) -> Iterator[Block]:
    """Fenced lines become fixed-width text, the others one section per run."""
    fenced = False
    marked = []
    for line in lines:
        if line == FENCE:
            fenced = not fenced
        else:
            marked.append((fenced, line))
    for preformatted, run in groupby(marked, key=lambda item: item[0]):
        text = "\n".join(line for _, line in run)
        if preformatted:
            yield _preformatted(text)
        else:
            yield from (section(part) for part in _parts(escape(text).replace("**", "*")))


def _change(diff: str) -> Iterator[Block]:
    """A Markdown diff: its code blocks in fixed width, the headings between them as text. Without any, all in fixed width."""
    if not _OPENING.search(diff):
        yield _preformatted(diff)
        return
    fence, inside = "", list[str]()
    for line in diff.split("\n"):
        opening = _OPENING.fullmatch(line)
        if fence and line == fence:
            yield _preformatted("\n".join(inside))
            fence, inside = "", []
        elif fence:
            inside.append(line)
        elif opening:
            fence = opening[1]
        elif line.strip():
            yield section(escape(line).replace("**", "*"))
    if inside:
        yield _preformatted("\n".join(inside))


def _parts(text: str) -> Iterator[str]:
    """Whole lines, at most a section's length each; a longer line is cut."""
    part = ""
    for line in text.split("\n"):
        fitting = clip(line, SECTION_LENGTH_MAX)
        if part and len(part) + 1 + len(fitting) > SECTION_LENGTH_MAX:
            yield part
            part = fitting
        else:
            part = f"{part}\n{fitting}" if part else fitting
    if part:
        yield part


def section(text: str) -> Block:
    """A paragraph of Slack's markup."""
    # verbatim: Slack makes no links, channels or mentions out of words.
    return {
        "type": "section",
        "text": {"type": "mrkdwn", "text": clip(text, SECTION_LENGTH_MAX), "verbatim": True},
    }


def _preformatted(text: str) -> Block:
    """Rich text is data, not markup: nothing in it is parsed."""
    element = {"type": "text", "text": clip(text.strip("\n"), PREFORMATTED_LENGTH_MAX) or " "}
    return {"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": [element]}]}


def _buttons(card: Card) -> list[Block]:
    value = orjson.dumps({"release_id": card.release_id, "seq": card.seq}).decode()
    elements = []
    if card.ask:
        elements += [
            _button("Approve", APPROVE, value=value, style="primary"),
            _button("Reject", REJECT, value=value, style="danger"),
        ]
    if card.undo:
        elements.append(roll_back_button(value))
    if card.url and len(card.url) <= URL_LENGTH_MAX:
        elements.append(_button("Open", OPEN, url=card.url))
    return [{"type": "actions", "block_id": "promptship", "elements": elements}] if elements else []


def roll_back_button(value: str) -> Block:
    """Asks before it does anything: it stands there for days."""
    button = _button("Roll back", ROLL_BACK, value=value, style="danger")
    button["confirm"] = {
        "title": {"type": "plain_text", "text": "Roll this release back?"},
        "text": {"type": "plain_text", "text": "The version before it serves everybody again, at once."},
        "confirm": {"type": "plain_text", "text": "Roll back"},
        "deny": {"type": "plain_text", "text": "Leave it"},
        "style": "danger",
    }
    return button


def _button(text: str, action: str, **more: str) -> Block:
    label = {"type": "plain_text", "text": text, "emoji": False}
    return {"type": "button", "text": label, "action_id": action, **more}


def clip(text: str, length_max: int) -> str:
    """At most `length_max` UTF-16 units, which is how Slack counts; an escaped character is not cut in two."""
    if _units(text) <= length_max:
        return text
    while _units(text) > length_max - 1:
        text = text[: len(text) - max(1, (_units(text) - length_max + 1) // 2)]
    head, ampersand, tail = text.rpartition("&")
    if ampersand and ";" not in tail and len(tail) < len("amp;"):
        text = head
    return text + "…"


def _units(text: str) -> int:
    return len(text) + sum(char > "\uffff" for char in text)
