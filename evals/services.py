"""What assertions, transforms and providers may ask for while a suite runs. Fakes: `tests/support/services.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol


class Language(StrEnum):
    """Languages of scripts."""

    JAVASCRIPT = "javascript"
    PYTHON = "python"
    RUBY = "ruby"


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One call of a script: inline code with names bound in it, or a function of a file with arguments."""

    language: Language
    code: str
    """Source text, of the inline code or of the file."""
    path: Path | None = None
    """Absolute path of the file; it may import its neighbours. None: inline."""
    function: str = ""
    """In a file: which one. Empty: the file's default (JavaScript: `module.exports` or `export default`).

    JavaScript's `new NAME`: the default export is a class (or an object), made with the first argument; its method NAME gets the rest.
    """
    arguments: tuple[Any, ...] = ()
    """Of the function, in order; JSON values."""
    names: Mapping[str, Any] = field(default_factory=dict)
    """Bound in inline code, which is one expression, or statements with `return`; JSON values."""
    root: Path | None = None
    """Directory that inline `require`, `import` and relative paths start from."""
    limit_s: float | None = None
    """None: the pool's default."""
    large: bool = False
    """Its result may be large (a test generator's): reading it may hold up the run for a moment."""


class ScriptFailed(Exception):
    """A script gave no value: it raised, did not parse, took too long or too much memory.

    `reason` never quotes the answer; `detail` may. `asserted`: it failed by an assertion of its own (AssertionError).
    `raised`: the script itself is why (an exception, its syntax, a result that is not JSON); False: a limit, or something that
    is missing here.
    """

    def __init__(
        self, reason: str, detail: str = "", *, asserted: bool = False, raised: bool = False
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.asserted = asserted
        self.raised = raised


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a script cannot work, as far as that shows before its first call."""

    what: str
    wrong: bool
    """A mistake in the script; False: it needs what is not here, or it may."""
    line: int = 0
    """Of the script, from 1; 0: not known."""


class Scripts(Protocol):
    """Runs what a suite brings along where it can do little harm, with limits of time and memory."""

    async def run(self, script: Script) -> Any:
        """The value it returns, as JSON (JavaScript's undefined is None). Raises ScriptFailed."""
        ...

    async def fault(self, script: Script) -> Fault | None:
        """What is wrong with a script, found without calling it; a file is loaded for that. None: nothing that shows."""
        ...

    async def matches(self, pattern: str, text: str, *, javascript: bool = False) -> bool:
        """Whether a regular expression finds something; of Python, or of JavaScript. Raises ScriptFailed."""
        ...

    async def schema_errors(self, schema: Any, value: Any) -> Sequence[str]:
        """What is wrong with a JSON value; empty: it fits the schema. Raises ScriptFailed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Where tokens went, as promptfoo's results tell it apart."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    """All of those that came from an earlier run."""
    requests: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt=self.prompt + other.prompt, completion=self.completion + other.completion,
            cached=self.cached + other.cached, requests=self.requests + other.requests,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What asking a model took."""

    tokens: int = 0
    usage: Usage = field(default_factory=Usage)
    """The same in parts; nothing: nobody counted."""
    cost_usd: float = 0.0
    unpriced: int = 0
    """New answers whose cost nobody knows: they are not in `cost_usd`."""
    cached: bool = False
    model: str = ""
    """Model that answered, as its provider names it."""
    fingerprint: str = ""
    """The provider's name for the very configuration that answered."""


class Graders(Protocol):
    """Models that help to grade. `who` is an assertion's `provider`: a model's name, or a promptfoo provider; None: the default.

    All methods may raise `Unavailable` (no answer), `Refused` (401, 403) and `ConfigError` (nobody is configured, a wrong request).
    """

    async def say(
        self, messages: Sequence[Mapping[str, Any]], *, who: Any = None, anew: bool = False
    ) -> tuple[str, Spent]:
        """Text that a judge answers. `anew`: what it answered in an earlier run is no use."""
        ...

    async def embed(
        self, texts: Sequence[str], *, who: Any = None
    ) -> tuple[Sequence[Sequence[float]], Spent]:
        """One vector per text."""
        ...

    async def moderate(self, asked: str, said: str, *, who: Any = None) -> tuple[Mapping[str, float], Spent]:
        """Flagged categories with their confidence 0..1; empty: nothing was flagged."""
        ...

    async def classify(self, text: str, *, who: Any = None) -> tuple[Mapping[str, float], Spent]:
        """Score of every label."""
        ...


class Web(Protocol):
    """Plain HTTP for assertions that ask a service of the user's own."""

    async def post(self, url: str, body: Any, *, timeout_s: float) -> tuple[int, Any]:
        """Status and JSON (None when the answer is none). Raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All of them, for one run. Grader None: no judge is configured."""

    scripts: Scripts
    graders: Graders | None = None
    web: Web | None = None
