"""Block Kit's limits, as Slack documents them: what breaks one is refused with `invalid_blocks`."""

from collections.abc import Iterator
from typing import Any

SURFACE_BLOCKS_MAX = {"message": 50, "modal": 100}
TEXTS_MAX = {"section": 3000, "header": 150}
ELEMENTS_MAX = {"actions": 25, "context": 10}
BUTTON_TEXT_MAX, VALUE_MAX, URL_MAX, ID_MAX = 75, 2000, 3000, 255
MESSAGE_BYTES_MAX = 150_000
"""Slack names no limit of a whole message; somewhere above this it answers `msg_blocks_too_long`."""


def breaches(blocks: list[dict[str, Any]], surface: str = "message") -> list[str]:
    """One line per limit that is broken; empty: Slack takes it."""
    found = [] if 1 <= len(blocks) <= SURFACE_BLOCKS_MAX[surface] else [f"{len(blocks)} blocks"]
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    if len(ids) != len(set(ids)):
        found.append("a block_id twice")
    if sum(len(repr(block)) for block in blocks) > MESSAGE_BYTES_MAX:
        found.append("a message too long")
    for block in blocks:
        found += [f"{block['type']}: {what}" for what in _block(block)]
    return found


def view_breaches(view: dict[str, Any]) -> list[str]:
    """The same of a modal."""
    found = breaches(view["blocks"], "modal")
    for key in ("title", "submit", "close"):
        found += [f"{key}: {what}" for what in _text(view[key], 24, "plain_text")]
    if len(view["private_metadata"]) > 3000:
        found.append("private_metadata")
    if len(view["callback_id"]) > ID_MAX:
        found.append("callback_id")
    return found


def units(text: str) -> int:
    """Length as Slack counts it: UTF-16."""
    return len(text.encode("utf-16-le")) // 2


def _block(block: dict[str, Any]) -> Iterator[str]:
    kind = block["type"]
    if len(block.get("block_id", "x")) not in range(1, ID_MAX + 1):
        yield "block_id"
    match kind:
        case "section":
            yield from _text(block["text"], 3000)
        case "header":
            yield from _text(block["text"], 150, "plain_text")
        case "actions":
            yield from _several(block["elements"], 25)
            for button in block["elements"]:
                yield from _button(button)
            actions = [button["action_id"] for button in block["elements"]]
            if len(actions) != len(set(actions)):
                yield "an action_id twice"
        case "context":
            yield from _several(block["elements"], 10)
            for element in block["elements"]:
                yield from _text(element, 3000)
        case "input":
            yield from _text(block["label"], 2000, "plain_text")
            if "hint" in block:
                yield from _text(block["hint"], 2000, "plain_text")
            element = block["element"]
            if not 0 <= element["min_length"] <= element["max_length"] <= 3000:
                yield "lengths"
        case "rich_text":
            yield from _rich(block["elements"])
        case _:
            yield "a type that Slack does not know"


def _rich(elements: list[dict[str, Any]]) -> Iterator[str]:
    for element in elements:
        if element["type"] not in {"rich_text_preformatted", "rich_text_section"} or not element["elements"]:
            yield "an element that Slack does not know"
        for part in element["elements"]:
            if part["type"] != "text" or not part["text"]:
                yield "an empty text"


def _several(elements: list[Any], most: int) -> Iterator[str]:
    if not 1 <= len(elements) <= most:
        yield f"{len(elements)} elements"


def _button(button: dict[str, Any]) -> Iterator[str]:
    if button["type"] != "button":
        yield "no button"
    yield from _text(button["text"], BUTTON_TEXT_MAX, "plain_text")
    if len(button["action_id"]) not in range(1, ID_MAX + 1):
        yield "action_id"
    if units(button.get("value", "")) > VALUE_MAX or units(button.get("url", "")) > URL_MAX:
        yield "value or url"
    if button.get("style", "primary") not in {"primary", "danger"}:
        yield "style"
    confirm = button.get("confirm")
    if confirm is not None:
        for key, most in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
            yield from _text(confirm[key], most)


def _text(text: dict[str, Any], most: int, kind: str = "") -> Iterator[str]:
    if text["type"] not in ({kind} if kind else {"plain_text", "mrkdwn"}):
        yield f"a text of type {text['type']}"
    if not 1 <= units(text["text"]) <= most:
        yield f"a text of {units(text['text'])} characters, at most {most}"
