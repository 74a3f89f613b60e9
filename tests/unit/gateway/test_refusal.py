from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptship.routing.refusal import OPENING_CHARACTERS, is_refusal, refused

REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I\u2019m sorry, but I can\u2019t assist with that request.",
    "I cannot provide medical advice.",
    "Unfortunately, I am unable to provide that information.",
    "**Sorry!** I can't do that.",
    "I understand your frustration, but I'm not able to discuss other customers.",
    "Thank you for reaching out. As an AI, I must decline this request.",
    "This request goes against our policies.",
    "I'm not comfortable writing that.",
    "That is not something I can help with.",
    "Es tut mir leid, aber dabei kann ich Ihnen leider nicht helfen.",
    "Leider kann ich diese Frage nicht beantworten.",
    "D\u00e9sol\u00e9, je ne peux pas vous aider.",
    "Lo siento, pero no puedo ayudarte con eso.",
    "Mi dispiace, ma non posso aiutarti.",
    "Desculpe, n\u00e3o posso ajudar com isso.",
    "Sorry, daar kan ik je helaas niet mee helpen.",
]
ANSWERS = [
    "",
    "   ",
    "Sure! Here is how to cancel your order.",
    "I'm sorry for the delay! Your refund is on its way.",
    "I can't find your order, but here is how to look it up.",
    "We won't charge you twice.",
    "I can help with that.",
    "No, the shop is closed on Sundays.",
    "Your plan does not provide that, so I can offer another one.",
    "Ich kann Ihnen gern helfen.",
    "Das ist nicht schlimm, ich helfe Ihnen.",
    "Je peux vous aider.",
    "No puedo creer lo bien que funciona.",
    "Set the header first. If it fails, say: I'm sorry, but I can't help with that.",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals(text: str) -> None:
    assert is_refusal(text)
    assert is_refusal(text.upper())


@pytest.mark.parametrize("text", ANSWERS)
def test_answers(text: str) -> None:
    assert not is_refusal(text)


def test_only_the_opening_counts() -> None:
    assert not is_refusal("x" * OPENING_CHARACTERS + ". I can't help with that.")


def test_the_providers_own_word_comes_first() -> None:
    assert refused("Sure!", finish_reason="content_filter") is True
    assert refused("", refusal="I will not.") is True
    assert refused("Sure!", finish_reason="stop") is False
    assert refused("  ") is None


@given(st.text(max_size=2000))
def test_it_takes_any_text(text: str) -> None:
    assert is_refusal(text) in {True, False}
