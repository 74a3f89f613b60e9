"""What a rendering carries along: scopes, output, limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from promptship.evals.promptfoo.nunjucks.values import UNDEFINED, Keywords, TemplateError

CHARS_MAX: Final = 64_000_000
"""Characters of one rendered text, and of any text built on the way: images in prompts are long."""
STEPS_MAX: Final = 1_000_000
"""Turns of all loops, calls of macros and items made by one rendering."""
WIDTH_MAX: Final = 100_000
"""Largest padding or indentation."""


class Scope:
    """Names that a loop, a macro or a block binds. What a sealed one writes never leaves it."""

    __slots__ = ("names", "outside", "sealed")

    def __init__(self, outside: Scope | None = None, *, sealed: bool = False) -> None:
        self.names: dict[str, Any] = {}
        self.outside = outside
        self.sealed = sealed

    def outwards(self) -> Iterator[Scope]:
        """This one, the one around it, and so on."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.outside

    def find(self, name: str) -> Any:
        """The value of a name in the nearest scope that has one; else UNDEFINED."""
        scope: Scope | None = self
        while scope is not None:  # asked for every name of a template, so without a generator
            if (value := scope.names.get(name, UNDEFINED)) is not UNDEFINED:
                return value
            scope = scope.outside
        return UNDEFINED

    def assign(self, name: str, value: Any) -> None:
        """Change the name where it has a value already, else bind it here."""
        reached = (self,) if self.sealed else self.outwards()
        owner = next((scope for scope in reached if scope.names.get(name, UNDEFINED) is not UNDEFINED), self)
        owner.names[name] = value


@dataclass(slots=True)
class Meter:
    """What a rendering has used up, with all the templates it brings in."""

    chars: int = 0
    steps: int = 0


class Run:
    """One rendering."""

    __slots__ = (
        "_meter", "blocks", "filters", "globals", "load", "out", "parent", "scope", "top", "variables",
    )  # fmt: skip

    def __init__(
        self,
        variables: dict[str, Any],
        global_names: Mapping[str, Any],
        filters: Mapping[str, Callable[..., Any]],
        load: Callable[[str], Any] | None = None,
        meter: Meter | None = None,
    ) -> None:
        self.variables = variables
        self.globals = global_names
        self.filters = filters
        self.load = load
        """Gives the template in a file; None: there is no such file."""
        self.scope = self.top = Scope()
        self.out: list[str] = []
        self.blocks: dict[str, list[Callable[[Run], None]]] = {}
        """Bodies of every block, that of the outermost heir first."""
        self.parent: Any = None
        """The template that the one being rendered extends."""
        self._meter = meter or Meter()

    def beside(self, variables: dict[str, Any]) -> Run:
        """A rendering of another template for this one, with other variables."""
        return Run(variables, self.globals, self.filters, self.load, self._meter)

    def find(self, name: str) -> Any:
        """The value of a name: in the scopes, the variables, the globals."""
        value = self.scope.find(name)
        if value is not UNDEFINED:
            return value
        if name in self.variables:
            return self.variables[name]
        return self.globals.get(name, UNDEFINED)

    def print(self, text: str) -> None:
        """Add to the output. Raises TemplateError when it is too much."""
        self._meter.chars += len(text)
        if self._meter.chars > CHARS_MAX:
            raise TemplateError(f"renders to more than {CHARS_MAX:,} characters")
        self.out.append(text)

    def step(self, count: int = 1) -> None:
        """Charge turns of a loop. Raises TemplateError when there were too many."""
        self._meter.steps += count
        if self._meter.steps > STEPS_MAX:
            raise TemplateError(f"takes more than {STEPS_MAX:,} steps")

    def captured(self, body: Callable[[Run], None]) -> str:
        """What a body prints, instead of printing it."""
        outside, self.out = self.out, []
        try:
            body(self)
            return "".join(self.out)
        finally:
            self.out = outside


def limited(text: Any) -> Any:
    """The same; raises TemplateError when a text is longer than a rendering may be."""
    if isinstance(text, str) and len(text) > CHARS_MAX:
        raise TemplateError(f"builds a text of more than {CHARS_MAX:,} characters")
    return text


def width(value: float) -> int:
    """A padding or an indentation. Raises TemplateError when it is out of bounds."""
    if not value <= WIDTH_MAX:
        raise TemplateError(f"a width of {value} is more than {WIDTH_MAX:,}")
    return max(0, int(value))


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a macro or a filter with keywords takes: each parameter by its place or by its name."""

    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()
    """Those with a default; they come after the others."""

    def bound(self, given: Sequence[Any]) -> tuple[list[Any], Keywords]:
        """Values of the needed ones, UNDEFINED where nothing is given; and everything else that is given, by name."""
        named = Keywords()
        if given and isinstance(given[-1], Keywords):
            *given, named = given
            named = Keywords(named)
        count = len(self.needed)
        values = list(given[:count])
        values += [named.pop(name, UNDEFINED) for name in self.needed[len(values) :]]
        named.update(zip(self.optional, given[count:], strict=False))
        return values, named


def named_parameters(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Lets a function be called with its parameters by place or by name."""
    parameters = Parameters(names)

    def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given: function(*parameters.bound(given)[0])

    return decorated
