"""Whether an answer is a refusal ("I'm sorry, but I can't help with that"). Pure, cheap, and the same in every gateway.

A refusal opens the answer, so apologies, greetings and "I understand that ..." are passed over and the first clause that says
something decides: "I can't help with that" is a refusal, "I can't find your order, but here is how ..." is not, nor is any
"can't" further down. The list serves the *comparison* of two versions: it misses some refusals of both arms alike, which
costs power but favours neither. English, German, French, Spanish, Italian, Portuguese, Dutch.
"""

from __future__ import annotations

import re
from typing import Final

OPENING_CHARACTERS: Final = 300
"""How much of an answer is looked at."""
TEXT_CHARACTERS_MAX: Final = 2000
"""How much of an answer a caller needs to keep to be able to ask; more is ignored."""
_CLAUSES_MAX: Final = 6
_LEADS_MAX: Final = 4

# What may open a clause before it says anything. Every repetition below is bounded: the text comes from outside.
_LEAD: Final = re.compile(
    r"(?:(?:i'm|i am|we're|we are|my|our|please accept my)? ?(?:so|very|really|truly|deeply|sincere)? ?"
    r"(?:sorry|apologies|afraid)|i (?:do )?apologi[sz]e|unfortunately|regrettably|but|however|that|because|no|yes"
    r"|(?:es )?tut mir (?:sehr )?leid|entschuldigung|leider|aber|dass"
    r"|(?:je suis )?(?:vraiment )?désolée?|malheureusement|mais|que"
    r"|lo siento(?: mucho)?|lamentablemente|desafortunadamente|pero"
    r"|mi dispiace(?: molto)?|purtroppo|spiacente|ma"
    r"|sinto muito|desculpe|lamento|infelizmente|mas"
    r"|het spijt me|helaas|maar|dat)\b[ -]*"
)
_COURTESY: Final = re.compile(
    r"(?:thanks|thank you|hi|hello|dear|as an ai|i(?:'m| am) an ai|i (?:completely |fully )?(?:understand|see|know|hear|appreciate|realize)"
    r"|while i|although i|danke|hallo|ich verstehe|merci|bonjour|je comprends|gracias|hola|entiendo|comprendo"
    r"|grazie|capisco|obrigad[oa]|olá|entendo|dank|ik begrijp)\b"
)
_HELP: Final = (
    r"(?:help|assist|comply|do (?:that|this|so)|fulfil+|provide|support|answer|discuss|engage|continue|create|generate|write|share"
    r"|give|offer|process|complete|respond|participate)"
)
_ENGLISH: Final = (
    rf"(?:i|we) (?:just |simply |really )?"
    rf"(?:can't|can ?not|won't|will not|could not|couldn't|(?:am|are) (?:not able|unable|not allowed|not permitted) to"
    rf"|do(?: not|n't) feel comfortable|must decline to|have to decline to) (?:\w+ly |just )?{_HELP}"
    rf"|(?:i'm|we're) (?:not able|unable|not allowed|not permitted) to (?:\w+ly )?{_HELP}"
    r"|(?:i|we) (?:must|have to|need to|will have to|respectfully) (?:respectfully )?(?:decline|refuse)"
    r"|(?:i|we) (?:decline|refuse) to"
    r"|(?:i'm|i am) not comfortable (?:with|\w+ing)"
    r"|(?:that|this|it)(?:'s| is) (?:not something (?:i|we) can|something (?:i|we) (?:can't|cannot|won't))"
    r"|(?:this|your|that) request (?:goes |is )?against (?:my|our) (?:guidelines|policies|policy)"
)
_GERMAN: Final = (
    r"(?:(?:ich|wir) (?:kann|können|darf|dürfen|werde|werden)|(?:\w+ )?(?:kann|können|darf|dürfen) (?:ich|wir))(?: \w+){0,6}? nicht"
    r"(?: \w+){0,3}? (?:helfen|weiterhelfen|beantworten|unterstützen|erfüllen|nachkommen|behilflich|tun|machen)"
)
_FRENCH: Final = (
    r"je ne (?:peux|puis|suis) pas (?:en mesure (?:de|d') ?|autorisée? à )?(?:vous |t'|y )?"
    r"(?:aider|répondre|fournir|faire|donner|assister|traiter)"
)
_SPANISH: Final = (
    r"no (?:puedo|podemos|me es posible) (?:ayudar|responder|proporcionar|hacer|cumplir|ofrecer|asistir)"
)
_ITALIAN: Final = (
    r"non (?:posso|possiamo|sono in grado di) (?:aiutar|rispondere|fornire|fare|assister|soddisfare)"
)
_PORTUGUESE: Final = r"não (?:posso|podemos|consigo) (?:ajud|responder|fornecer|fazer|atender|auxiliar)"
_DUTCH: Final = r"(?:(?:ik|wij|we) (?:kan|kunnen|mag)|(?:\w+ )?(?:kan|mag) ik)(?: \w+){0,4}? niet(?: \w+){0,2}? (?:helpen|beantwoorden|doen)"
_REFUSES: Final = re.compile(f"{_ENGLISH}|{_GERMAN}|{_FRENCH}|{_SPANISH}|{_ITALIAN}|{_PORTUGUESE}|{_DUTCH}")
_CLAUSE_END: Final = re.compile("[.,!?:;\n\u2013\u2014]")
_DECORATION: Final = " \t\r\"'*_#>-`()\u00ab\u00bb\u201c\u201d\u201e"
_PLAIN: Final = str.maketrans({"\u2019": "'", "\u2018": "'", "\u00a0": " ", "\t": " "})


def is_refusal(text: str) -> bool:
    """Whether the first clause of the answer that says anything refuses. Looks at the first 300 characters."""
    opening = text[:OPENING_CHARACTERS].translate(_PLAIN).lower()
    for clause in _CLAUSE_END.split(opening, maxsplit=_CLAUSES_MAX)[:_CLAUSES_MAX]:
        said = _without_leads(clause.strip(_DECORATION))
        if said and not _COURTESY.match(said):
            return _REFUSES.match(said) is not None
    return False


def _without_leads(clause: str) -> str:
    for _ in range(_LEADS_MAX):
        lead = _LEAD.match(clause)
        # "That is not something I can do" and "no puedo" begin with a word that may also lead.
        if lead is None or _REFUSES.match(clause):
            break
        clause = clause[lead.end() :]
    return clause


def refused(text: str, *, finish_reason: str = "", refusal: str = "") -> bool | None:
    """What an observation says: the provider's own word first, then the text; None when there is nothing to judge.

    Args:
        text: the answer; its beginning is enough.
        finish_reason: `content_filter` is a refusal by itself.
        refusal: the answer's `message.refusal`, when the provider fills it.
    """
    if finish_reason == "content_filter" or refusal:
        return True
    return is_refusal(text) if text.strip() else None
