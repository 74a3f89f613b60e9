"""A promptfoo configuration, read: plain values that the rest of the package works with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from promptship.chat import ChatAnswer
from promptship.evals.services import Scripts
from promptship.evals.units import Asking


class Effect(StrEnum):
    """What a note of the compatibility report says."""

    UNSUPPORTED = "unsupported"  # cannot run here, is left out: remote generation, web UI
    IGNORED = "ignored"  # promptfoo ignores it, so it is ignored here too
    DIFFERS = "differs"  # works, with a difference that can be seen


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Note:
    """One line of the compatibility report, said before the run."""

    where: str
    """File and key."""
    effect: Effect
    what: str
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSpec:
    """One provider as configured. `id` is promptfoo's, such as `openai:gpt-4.1`, `http`, `file://p.py`."""

    id: str
    label: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    prompts: tuple[str, ...] | None = None
    """Labels or ids of the prompts it is asked; None: all; empty: none."""
    transform: Any = None
    delay_ms: float = 0.0
    env: Mapping[str, str] = field(default_factory=dict)
    """Over the environment."""
    inputs: Any = None
    bare: bool = False
    """Written as its id alone; promptfoo then shows it by a name of its own."""
    base: Path
    """Directory of the file it stands in: relative paths start there."""
    file: str = field(default="", compare=False)
    """Where it is written, for errors; empty: in no file of its own."""
    line: int = field(default=0, compare=False)

    def shown(self, own: str) -> str:
        """The id in results: as configured, or the provider's own name for itself."""
        return own if self.bare else self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSpec:
    """One prompt: a template, or a function that makes one."""

    raw: str
    """Template text; of a function: its source."""
    label: str
    config: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None
    """File of a function (.js, .py, an executable); None: `raw` is the template."""
    function: str = ""
    command: tuple[str, ...] = ()
    """Program and arguments of an executable, which gets its context as JSON in one argument more."""
    id: str = ""
    """As configured; filters match it like the label."""
    base: Path

    @property
    def is_function(self) -> bool:
        """Whether it must be called with variables to give the prompt."""
        return self.path is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class TestCase:
    """One test row after expansion: defaults merged, variables multiplied out. Assertions are raw: rendered when the row runs."""

    index: int
    """From 0, in the order of the expansion; repetitions are not counted."""
    first: int = 0
    """testIdx of its first repetition, as results count them."""
    step: int = 1
    """How much testIdx grows with each further one."""
    where: str = ""
    """File and place, for messages."""
    description: str = ""
    vars: Mapping[str, Any] = field(default_factory=dict)
    provider: Any = None
    providers: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    provider_output: Any = None
    asserts: tuple[Mapping[str, Any], ...] = ()
    scoring_function: str | None = None
    threshold: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    repeat: int | None = None
    base: Path
    raw: Mapping[str, Any] = field(default_factory=dict)
    """As it stands in results: the merged test with expanded variables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All files of one run, merged; `$ref` and `{{ env.X }}` resolved. Tests and scenarios are raw until they are expanded."""

    paths: tuple[Path, ...]
    base: Path
    """Directory of the first file."""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    providers: tuple[ProviderSpec, ...] = ()
    prompts: tuple[PromptSpec, ...] = ()
    tests: Sequence[Any] = ()
    """Raw entries: test mappings, paths, generators; each with the directory it is relative to: `(base, entry)`."""
    scenarios: Sequence[Any] = ()
    """Raw, `(base, entry)`."""
    default_test: Mapping[str, Any] = field(default_factory=dict)
    evaluate_options: Mapping[str, Any] = field(default_factory=dict)
    command_line_options: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What programs and templates see: the process, `.env` files, and `env` over both. May hold secrets."""
    nunjucks_filters: Mapping[str, str] = field(default_factory=dict)
    derived_metrics: Sequence[Mapping[str, Any]] = ()
    extensions: tuple[str, ...] = ()
    output_paths: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)
    """The merged file, for results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """What a provider may know about a call besides the prompt."""

    vars: Mapping[str, Any] = field(default_factory=dict)
    prompt_label: str = ""
    prompt_raw: str = ""
    """The template; of a function: its source."""
    prompt_config: Mapping[str, Any] = field(default_factory=dict)
    """Of the prompt and of the test's options: laid over the provider's own for this call."""
    test: Mapping[str, Any] = field(default_factory=dict)
    trial: int = 0
    run_id: str = ""
    test_index: int = 0
    """testIdx of the row."""


class Provider(Protocol):
    """A promptfoo provider, ready to be asked."""

    @property
    def id(self) -> str:
        """As promptfoo shows it."""
        ...

    @property
    def label(self) -> str:
        """Label, or id."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """Its parameters, for assertions that look at tools and functions."""
        ...

    async def call(self, prompt: str, context: CallContext, asking: Asking, scripts: Scripts) -> ChatAnswer:
        """The answer to one rendered prompt: text, or messages as JSON. `value` is set when the output is more than text.

        Raises: what `Asking.answer` raises; ConfigError also for what the provider says is wrong; ScriptFailed when code of the
            user's own fails.
        """
        ...


@runtime_checkable
class Identified(Protocol):
    """A provider whose id stands in its code."""

    async def identified(self, scripts: Scripts) -> Provider:
        """The provider with that id."""
        ...
