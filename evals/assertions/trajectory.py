"""What an agent did, step by step, as its trace tells: which tools it used, in which order, with which arguments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from promptship.evals.assertions.base import AssertionSpec, BuildContext, Dialect, invalid, shown
from promptship.evals.assertions.steps import Step, steps_of
from promptship.evals.assertions.trace import NO_TRACE, bounds, matches
from promptship.evals.assertions.values import object_value, same_json
from promptship.evals.score import Judged, Subject, Unscored, inverted, yes_or_no

TYPES: Final = frozenset({"tool", "command", "search", "reasoning", "message", "span"})
_MATCHER: Final = frozenset({"type", "pattern", "name"})


@dataclass(frozen=True, slots=True)
class Matcher:
    """Which steps are meant: of some types (none: all), with a name like the pattern (empty: any)."""

    pattern: str = ""
    types: frozenset[str] = frozenset()

    def fits(self, step: Step) -> bool:
        """Whether a step is meant; any of its names may fit."""
        if self.types and step.type not in self.types:
            return False
        return not self.pattern or any(matches(name, self.pattern) for name in step.names)


def _list(steps: Iterable[Step]) -> str:
    return (
        ", ".join(step.names[-1] if step.type == "span" else f"{step.type} {step.name}" for step in steps)
        or "nothing"
    )


def _tools(subject: Subject) -> list[Step] | None:
    steps = steps_of(subject)
    return None if steps is None else [step for step in steps if step.type == "tool"]


@dataclass(frozen=True, slots=True)
class ToolUsed:
    """Every tool was used."""

    wanted: tuple[Matcher, ...]
    forbids_any: bool
    """promptfoo: `not-` of a list means that none of them was used, not that one is missing."""

    async def judge(self, subject: Subject) -> Judged:
        """Unscored without a trace."""
        steps = _tools(subject)
        if steps is None:
            return NO_TRACE
        missing = [one.pattern for one in self.wanted if not any(map(one.fits, steps))]
        return Judged(yes_or_no(not missing, f"{', '.join(missing)} not used; it used {_list(steps)}"))

    async def judge_opposite(self, subject: Subject) -> Judged:
        """See `forbids_any`."""
        judged = await self.judge(subject)
        steps = _tools(subject)
        if not self.forbids_any or steps is None:
            return Judged(inverted(judged.score))
        used = [one.pattern for one in self.wanted if any(map(one.fits, steps))]
        return Judged(yes_or_no(not used, f"{', '.join(used)} used"))


@dataclass(frozen=True, slots=True)
class StepCount:
    """So many steps are meant."""

    matcher: Matcher
    low: float
    high: float

    async def judge(self, subject: Subject) -> Judged:
        """Bounds included."""
        steps = steps_of(subject)
        if steps is None:
            return NO_TRACE
        count = sum(map(self.matcher.fits, steps))
        return Judged(
            yes_or_no(self.low <= count <= self.high, f"{count} steps, wanted {self.low:g} to {self.high:g}")
        )


@dataclass(frozen=True, slots=True)
class ToolSequence:
    """Tools were used in an order; `exact`: these and no others."""

    wanted: tuple[Matcher, ...]
    exact: bool

    async def judge(self, subject: Subject) -> Judged:
        """Unscored without a trace."""
        steps = _tools(subject)
        if steps is None:
            return NO_TRACE
        rest = iter(steps)
        passed = all(any(one.fits(step) for step in rest) for one in self.wanted)
        if self.exact:
            passed = len(steps) == len(self.wanted) and all(
                one.fits(step) for one, step in zip(self.wanted, steps, strict=True)
            )
        order = ", ".join(one.pattern for one in self.wanted)
        return Judged(yes_or_no(passed, f"wanted {order}; it used {_list(steps)}"))


@dataclass(frozen=True, slots=True)
class ToolArguments:
    """A tool was called with arguments: at least these, or `exact`."""

    matcher: Matcher
    wanted: Any
    exact: bool
    defaults: Mapping[str, Any]
    """Arguments that may be there with these values."""
    ignore: tuple[str, ...]
    """Names that do not count; `*` and `?` stand for anything."""

    async def judge(self, subject: Subject) -> Judged:
        """One call that fits is enough."""
        steps = _tools(subject)
        if steps is None:
            return NO_TRACE
        found = [step for step in steps if self.matcher.fits(step)]
        passed = any(step.has_arguments and self._fits(step.arguments) for step in found)
        if not found:
            because = f"{self.matcher.pattern} was not called; it used {_list(steps)}"
        else:
            because = f"no call of {self.matcher.pattern} has the arguments: {[step.arguments for step in found]!r:.300}"
        return Judged(yes_or_no(passed, because))

    def _fits(self, arguments: Any) -> bool:
        have, wanted = self._counted(arguments), self._counted(self.wanted)
        if isinstance(have, Mapping):
            have = {
                name: value
                for name, value in have.items()
                if not (name in self.defaults and same_json(value, self.defaults[name]))
            }
        return same_json(have, wanted) if self.exact else _covers(have, wanted)

    def _counted(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {
            name: item for name, item in value.items() if not any(_is_meant(name, one) for one in self.ignore)
        }


def _is_meant(name: str, entry: str) -> bool:
    return name == entry or (bool(re.search(r"[*?]", entry)) and matches(name, entry))


def _covers(have: Any, wanted: Any) -> bool:
    """Whether `wanted` is in `have`: objects may have more keys, lists must be of the same length."""
    if isinstance(wanted, Mapping):
        return isinstance(have, Mapping) and all(
            name in have and _covers(have[name], value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(have, list) and len(have) == len(wanted) and all(map(_covers, have, wanted))
    return same_json(have, wanted)


# Makers ---------------------------------------------------------------------------------------------------------------


def _matcher(value: Any, key: str, default: frozenset[str] = frozenset()) -> Matcher:
    if isinstance(value, str) and value:
        return Matcher(value, default)
    if not isinstance(value, dict):
        raise invalid(key, shown(value), "expected a name, or an object with name or pattern")
    pattern = value.get("pattern") or value.get("name") or ""
    kinds = value.get("type") or []
    types = frozenset([kinds] if isinstance(kinds, str) else kinds)
    if not isinstance(pattern, str):
        raise invalid(f"{key}.pattern", shown(pattern), "expected text")
    if not types <= TYPES:
        raise invalid(f"{key}.type", shown(kinds), f"expected one of {', '.join(sorted(TYPES))}")
    return Matcher(pattern, types or default)


_TOOL: Final = frozenset({"tool"})


def _tool(value: Any, key: str) -> Matcher:
    matcher = _matcher(value, key, _TOOL)
    if not matcher.pattern:
        raise invalid(key, shown(value), "expected a tool's name or pattern")
    return matcher


def tool_used(spec: AssertionSpec, context: BuildContext) -> ToolUsed | ToolCount:
    """`value`: a name, a list of names, or `{name or pattern, min, max}`; `*` and `?` stand for anything."""
    if isinstance(spec.value, dict):
        value = object_value(spec, context, _MATCHER | {"min", "max"})
        return ToolCount(_tool(value, "value"), *bounds(value, 1.0))
    names = spec.value if isinstance(spec.value, list) else [spec.value]
    promptfoo = context.dialect is Dialect.PROMPTFOO  # there the empty name means any tool
    if not names or not all(isinstance(name, str) and (name or promptfoo) for name in names):
        raise invalid(
            "value", shown(spec.value), "expected names of tools, or an object with name or pattern"
        )
    return ToolUsed(tuple(Matcher(name, _TOOL) for name in names), forbids_any=promptfoo)


@dataclass(frozen=True, slots=True)
class ToolCount:
    """A tool was used so often."""

    matcher: Matcher
    low: float
    high: float

    async def judge(self, subject: Subject) -> Judged:
        """Bounds included."""
        steps = _tools(subject)
        if steps is None:
            return NO_TRACE
        count = sum(map(self.matcher.fits, steps))
        because = f"{self.matcher.pattern} used {count} times, wanted {self.low:g} to {self.high:g}; it used {_list(steps)}"
        return Judged(yes_or_no(self.low <= count <= self.high, because))


def step_count(spec: AssertionSpec, context: BuildContext) -> StepCount:
    """`value`: `{type, pattern or name, min, max}`."""
    value = object_value(spec, context, _MATCHER | {"min", "max"})
    if value.get("min") is None and value.get("max") is None:
        raise invalid("value", shown(value), "expected min or max")
    return StepCount(_matcher(value, "value"), *bounds(value))


def tool_sequence(spec: AssertionSpec, context: BuildContext) -> ToolSequence:
    """`value`: a list of tools, or `{steps, mode}`; mode `in_order` (others may stand between) or `exact`."""
    steps, mode = spec.value, "in_order"
    if isinstance(spec.value, dict):
        value = object_value(spec, context, frozenset({"steps", "mode"}))
        steps, mode = value.get("steps"), value.get("mode") or mode
    if not isinstance(steps, Sequence) or isinstance(steps, str) or not steps:
        raise invalid("value", shown(spec.value), "expected a list of tools")
    if mode not in {"in_order", "exact"} and context.dialect is Dialect.NATIVE:
        raise invalid("value.mode", shown(mode), "expected in_order or exact")
    return ToolSequence(
        tuple(_tool(step, f"value[{n}]") for n, step in enumerate(steps)), exact=mode == "exact"
    )


def tool_arguments(spec: AssertionSpec, context: BuildContext) -> ToolArguments:
    """`value`: `{name or pattern, args, mode: partial or exact, defaults, ignore}`."""
    known = _MATCHER | {"args", "arguments", "mode", "defaults", "ignore"}
    value = object_value(spec, context, known)
    if "args" not in value and value.get("arguments") is None:
        raise invalid("value.args", "missing", "expected the arguments of the call")
    mode, defaults, ignore = (
        value.get("mode") or "partial",
        value.get("defaults") or {},
        value.get("ignore") or [],
    )
    if mode not in {"partial", "exact"}:
        raise invalid("value.mode", shown(mode), "expected partial or exact")
    if not isinstance(defaults, dict):
        raise invalid("value.defaults", shown(defaults), "expected an object of arguments and their defaults")
    names = [ignore] if isinstance(ignore, str) else ignore
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise invalid("value.ignore", shown(ignore), "expected names of arguments")
    wanted = value["args"] if "args" in value else value["arguments"]
    return ToolArguments(_tool(value, "value"), wanted, mode == "exact", defaults, tuple(names))


# Skills ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SkillUsed:
    """Every skill was used, or one of them so often; from `answer.metadata["skillCalls"]`, calls that failed do not count."""

    wanted: tuple[tuple[str, str], ...]
    """Exact name and pattern of each; either may be empty."""
    low: float = 1.0
    high: float = float("inf")
    forbids_any: bool = False
    """promptfoo: `not-` means that none of them was used."""

    async def judge(self, subject: Subject) -> Judged:
        """Unscored when the provider does not report skills."""
        counts = self._counts(subject)
        if counts is None:
            return _NO_SKILLS
        passed = all(self.low <= count <= self.high for count in counts)
        return Judged(yes_or_no(passed, f"used {self._told(counts)}"))

    async def judge_opposite(self, subject: Subject) -> Judged:
        """See `forbids_any`."""
        counts = self._counts(subject)
        if counts is None:
            return _NO_SKILLS
        passed = not any(counts) if self.forbids_any else not all(self.low <= n <= self.high for n in counts)
        return Judged(yes_or_no(passed, f"used {self._told(counts)}"))

    def _counts(self, subject: Subject) -> list[int] | None:
        calls = subject.answer.metadata.get("skillCalls")
        if not isinstance(calls, list):
            return None
        names = [
            call["name"]
            for call in calls
            if isinstance(call, Mapping)
            and isinstance(call.get("name"), str)
            and call.get("is_error") is not True
        ]
        return [
            sum((not exact or name == exact) and (not pattern or matches(name, pattern)) for name in names)
            for exact, pattern in self.wanted
        ]

    def _told(self, counts: Sequence[int]) -> str:
        pairs = zip(self.wanted, counts, strict=True)
        return ", ".join(f"{pattern or exact} {count} times" for (exact, pattern), count in pairs)


def skill_used(spec: AssertionSpec, context: BuildContext) -> SkillUsed:
    """`value`: a name, names, or `{name or pattern, min, max}`."""
    promptfoo = context.dialect is Dialect.PROMPTFOO
    if isinstance(spec.value, dict):
        value = object_value(spec, context, frozenset({"name", "pattern", "min", "max"}))
        names = [str(value.get(key) or "").strip() for key in ("name", "pattern")]
        if not any(names):
            raise invalid("value", shown(value), "expected name or pattern")
        low, high = bounds(value, 0.0 if value.get("max") is not None else 1.0)
        if promptfoo and spec.type.startswith("not-") and ("min" in value or high not in {0.0, float("inf")}):
            raise invalid("value", shown(value), f"{spec.type} takes no min, and no max but 0")
        return SkillUsed(((names[0], names[1]),), low, high, forbids_any=promptfoo)
    listed = spec.value if isinstance(spec.value, list) else [spec.value]
    if not listed or not all(isinstance(name, str) and name.strip() for name in listed):
        raise invalid(
            "value", shown(spec.value), "expected names of skills, or an object with name or pattern"
        )
    return SkillUsed(tuple((name.strip(), "") for name in listed), forbids_any=promptfoo)


_NO_SKILLS: Final = Judged(Unscored("the provider reports no skills"))
