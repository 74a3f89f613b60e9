"""Red team cases in reports: what was attacked, how, and the words of the attack."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from promptship.evals.redteam.plugins import OWASP
from promptship.evals.rows import CaseFacts, Row
from promptship.evals.suite_file import OriginKind

_RISK, _PLUGIN, _STRATEGY = "owasp:", "plugin:", "strategy:"
_ATTACKING: Final = frozenset({"user", "tool"})
"""Roles through which an attack reaches a model: what a user says, what a document or a tool brings."""


def is_attack(case: CaseFacts) -> bool:
    """Whether a red team wrote the case."""
    return case.origin == OriginKind.RED_TEAM


def attacked_by(case: CaseFacts) -> str:
    """`LLM01 Prompt Injection, LLM07 System Prompt Leakage · direct-injection · base64`, as far as the tags say it."""
    risks = [titled(_RISK + risk).removeprefix(_RISK) for risk in _tagged(case.tags, _RISK)]
    parts = [", ".join(risks), *_tagged(case.tags, _PLUGIN), *_tagged(case.tags, _STRATEGY)]
    return " · ".join(filter(None, parts))


def titled(tag: str) -> str:
    """`owasp:LLM01 Prompt Injection`; every other tag as it is."""
    risk = tag.removeprefix(_RISK)
    return f"{tag} {OWASP[risk]}" if tag.startswith(_RISK) and risk in OWASP else tag


def attack_of(row: Row) -> str:
    """The words of the attack as they were sent: the last thing that a user or a tool said before the last answer."""
    try:
        messages = json.loads(row.sent)
    except (ValueError, RecursionError):
        return row.sent
    if not isinstance(messages, list):
        return row.sent
    said = [
        _text(one.get("content"))
        for one in messages
        if isinstance(one, dict) and one.get("role") in _ATTACKING
    ]
    return next((text for text in reversed(said) if text), "")


def _text(content: Any) -> str:
    """Of a message: a text, or the texts among its parts."""
    if isinstance(content, list):
        return "\n".join(str(part["text"]) for part in content if isinstance(part, dict) and "text" in part)
    return content if isinstance(content, str) else ""


def _tagged(tags: Iterable[str], kind: str) -> list[str]:
    return [tag.removeprefix(kind) for tag in tags if tag.startswith(kind)]
