"""Plugins: kinds of attack with their texts, their grader and the risk they test. Texts are data, in `attacks/`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

import yaml

from promptship.errors import ConfigError, Problem

OWASP: Final[Mapping[str, str]] = MappingProxyType({
    "LLM01": "Prompt Injection",
    "LLM02": "Sensitive Information Disclosure",
    "LLM03": "Supply Chain",
    "LLM04": "Data and Model Poisoning",
    "LLM05": "Improper Output Handling",
    "LLM06": "Excessive Agency",
    "LLM07": "System Prompt Leakage",
    "LLM08": "Vector and Embedding Weaknesses",
    "LLM09": "Misinformation",
    "LLM10": "Unbounded Consumption",
})  # fmt: skip
"""OWASP Top 10 for LLM applications, 2025."""
UNTESTED: Final = ("LLM03", "LLM04")
"""Questions put to a model say nothing about these two: they are about where models and data come from."""


class Carrier(StrEnum):
    """Where an attack reaches the model."""

    USER = "user"  # what the user says
    DOCUMENT = "document"  # a text the user asks about: mail, web page, retrieved passage
    TOOL = "tool"  # the result of a tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One attack. `text` may hold `{canary}`; `turns` are what the user says before it, one after the other."""

    text: str
    turns: tuple[str, ...] = ()
    goal: str = ""
    """What the attacker wants, in one sentence, for a judge and for an attacker model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A kind of attack. `grader` is an assertion type of `promptship.evals.assertions.attacked`."""

    name: str
    title: str
    owasp: tuple[str, ...]
    grader: str
    carrier: Carrier = Carrier.USER
    value: Any = None
    """Handed to the grader; None: what the case's generator makes (canary, planted data)."""
    attacks: tuple[Attack, ...]


@lru_cache(maxsize=1)
def plugins() -> Mapping[str, Plugin]:
    """Every plugin by its name, in the order of the files."""
    found: dict[str, Plugin] = {}
    directory = files("promptship.evals.redteam").joinpath("attacks")
    for file in sorted(directory.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".yaml"):
            continue
        for entry in yaml.safe_load(file.read_text(encoding="utf-8")):
            attacks = tuple(_attack(one) for one in entry.pop("attacks"))
            plugin = Plugin(
                **{**entry, "owasp": tuple(entry["owasp"]), "carrier": Carrier(entry.get("carrier", "user"))},
                attacks=attacks,
            )
            found[plugin.name] = plugin
    return MappingProxyType(found)


def _attack(entry: str | Mapping[str, Any]) -> Attack:
    if isinstance(entry, str):
        return Attack(text=entry)
    return Attack(text=entry["text"], turns=tuple(entry.get("turns", ())), goal=entry.get("goal", ""))


def chosen(names: Iterable[str]) -> tuple[Plugin, ...]:
    """Plugins by name, or by OWASP id (`LLM07`); none named: all.

    Raises:
        ConfigError: unknown names, each with the nearest one.
    """
    known = plugins()
    wanted = list(names)
    if not wanted:
        return tuple(known.values())
    unknown = [name for name in wanted if name not in known and name not in OWASP]
    untested = [name for name in wanted if name in UNTESTED]
    if unknown or untested:
        raise ConfigError(
            [
                *(_unknown(name, known) for name in unknown),
                *(
                    Problem("--plugin", "", name, "no question to a model can test it", OWASP[name])
                    for name in untested
                ),
            ]
        )
    return tuple(
        plugin for plugin in known.values() if plugin.name in wanted or set(plugin.owasp) & set(wanted)
    )


def _unknown(name: str, known: Mapping[str, Plugin]) -> Problem:
    near = difflib.get_close_matches(name, [*known, *OWASP], n=1)
    advice = f"did you mean {near[0]}?" if near else "`promptship redteam list` shows them"
    return Problem("--plugin", "", repr(name), f"expected one of {', '.join(known)}, or an OWASP id", advice)
