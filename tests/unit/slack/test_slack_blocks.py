"""Cards as Block Kit: Slack's limits are kept, and nothing that others wrote gets out of the text."""

import json
import re
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.adapters.slack.blocks import blocks, escape, fallback
from promptship.ports import Card
from promptship.prompts.diff import diff
from promptship.prompts.diff_text import to_markdown
from promptship.prompts.model import Message, Prompt
from promptship.render.card import FENCE, approval_card, outcome_card
from tests.support.plane import World, waiting
from tests.support.slack_limits import breaches

wild = st.text(st.sampled_from("a<!>&;*`_~|@#\n🙂 "), max_size=400) | st.sampled_from(
    [
        "<!channel>",
        "<@UMIRA>",
        "<https://evil|click>",
        "&lt;!here&gt;",
        "x" * 9000,
        "&" * 4000,
        "🙂" * 4000,
        FENCE,
    ]
)
cards = st.builds(
    Card, release_id=st.just("r-1"), seq=st.integers(0, 10**6), title=wild, lines=st.lists(wild, max_size=80).map(tuple),
    diff=wild, ask=st.booleans(), undo=st.booleans(), outcome=wild,
    url=st.sampled_from(["", "https://promptship.example/releases/r-1", "https://x/" + "y" * 3000]),
)  # fmt: skip


def texts(node: Any) -> Iterator[tuple[str, str]]:
    """(type, text) of every text object."""
    if isinstance(node, dict):
        if isinstance(node.get("text"), str):
            yield node["type"], node["text"]
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)


@settings(max_examples=60)
@given(card=cards)
def test_every_card_keeps_slacks_limits(card: Card) -> None:
    made = blocks(card)
    assert breaches(made) == []
    assert len(fallback(card)) <= 3000
    json.dumps(made)


@settings(max_examples=60)
@given(card=cards)
def test_markup_holds_no_control_sequence_that_we_did_not_write(card: Card) -> None:
    made = blocks(card)
    marked = [text for kind, text in texts(made) if kind == "mrkdwn"] + [fallback(card)]
    for text in marked:
        assert "<" not in text
        assert ">" not in text
        assert re.sub(r"&(amp|lt|gt);", "", text).count("&") == 0, "an escaped character was cut in two"
    for block in made:
        if block["type"] == "section":
            assert block["text"]["verbatim"] is True


@given(text=st.text(max_size=30))
def test_escaping_can_be_undone(text: str) -> None:
    assert escape(text).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == text


@settings(max_examples=60)
@given(card=cards)
def test_a_button_is_there_exactly_when_it_can_be_pressed(card: Card) -> None:
    buttons = {
        button["action_id"]: button
        for block in blocks(card)
        if block["type"] == "actions"
        for button in block["elements"]
    }
    wanted = {"promptship_approve", "promptship_reject"} if card.ask else set()
    wanted |= {"promptship_roll_back"} if card.undo else set()
    wanted |= {"promptship_open"} if 0 < len(card.url) <= 3000 else set()
    assert set(buttons) == wanted
    assert ("confirm" in buttons.get("promptship_roll_back", {})) == card.undo
    for action, button in buttons.items():
        if action == "promptship_open":
            assert button["url"] == card.url
        else:
            assert json.loads(button["value"]) == {"release_id": card.release_id, "seq": card.seq}


def test_a_real_card_shows_the_evidence() -> None:
    world = World()
    release_id = waiting(world)
    card = approval_card(world.app.release(release_id), diff="Be [-kind-]{+concise+}.")
    assert card.seq == 5
    shown = "\n".join(text for _, text in texts(blocks(card)))
    for part in ("Promote support-reply?", "dev@example.org", "4.1% of 11,204", "11.9% of 612", "7.31", "40",
                 "pass; no case is worse", "2026-01-02 00:00 UTC", "[-kind-]{+concise+}", "Approve", "Reject"):  # fmt: skip
        assert part in shown, part


def test_an_outcome_card_has_no_buttons_and_says_how_it_ended() -> None:
    from promptship.lifecycle.approval import reject

    world = World()
    release_id = waiting(world)
    world.clock.advance(600)
    reject(world.app, release_id, who="mira", via="cli", reason="too curt, <!channel>")
    card = outcome_card(world.app.release(release_id))
    made = blocks(card)
    assert [block["type"] for block in made].count("actions") == 0
    assert (
        made[-1]["text"]["text"] == "*Rolled back after 10 min: rejected by mira: too curt, &lt;!channel&gt;*"
    )


def test_what_others_wrote_cannot_forge_a_line_of_the_card() -> None:
    world = World()
    release_id = waiting(world)
    from dataclasses import replace

    release = replace(
        world.app.release(release_id), author="x\n**Approved by:** mira", reason="```\n*bold* `code`"
    )
    lines = approval_card(release).lines
    assert not any(line.startswith("**Approved by") for line in lines)
    assert lines.count(FENCE) == 2
    (asked,) = (line for line in lines if line.startswith("**Asked because:**"))
    assert asked.count("*") == 4
    assert "`" not in asked


@settings(max_examples=40)
@given(before=wild, after=wild)
def test_the_diff_of_two_prompts_is_shown_word_for_word(before: str, after: str) -> None:
    old, new = (
        Prompt(
            name="p",
            messages=(Message(role="system", content=text[:300]), Message(role="user", content="hi")),
        )
        for text in (before, after)
    )
    change = diff(old, new)
    if change.empty:
        return
    card = Card(release_id="r", seq=1, title="t", lines=(), diff=to_markdown(change))
    made = blocks(card)
    fixed = [text for kind, text in texts(made) if kind == "text"]
    (message,) = (message for message in change.messages if message.hunks and message.change.value != "same")
    shown = "\n".join(fixed)
    for hunk in message.hunks:
        if hunk.op.value != "equal":
            assert hunk.text.strip("\n") in shown
    assert {block["type"] for block in made} == {"header", "section", "rich_text", "actions"}


def test_what_does_not_fit_is_said() -> None:
    card = Card(release_id="r", seq=1, title="t", lines=("a", FENCE, "b", FENCE) * 40, diff="x", undo=True)
    made = blocks(card)
    assert len(made) == 50
    assert breaches(made) == []
    assert made[-1]["type"] == "actions"
    assert "There is more" in made[-2]["text"]["text"]
