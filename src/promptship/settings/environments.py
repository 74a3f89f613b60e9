"""Environments, and the times in which nothing in them gets more traffic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, Field, model_validator

from promptship.release.environment import ENVIRONMENT_PATTERN
from promptship.settings.people import Day, TimeOfDay, WorkingHours
from promptship.settings.section import Section

if TYPE_CHECKING:
    from promptship.settings import Settings

END_OF_DAY: Final = "24:00"
EnvironmentName = Annotated[str, Field(pattern=ENVIRONMENT_PATTERN)]
Globs = tuple[Annotated[str, Field(min_length=1, max_length=200)], ...]


class EnvironmentSettings(Section):
    """An environment: where the releases into it come from, and what they have to satisfy there."""

    branch: str = ""
    """Pushes to this branch are released here. Empty: none, releases come from `after` or by hand; for the default environment
    without `after` it is `repository.branch`."""
    after: str = ""
    """Environment before this one: what is promoted there opens a release here by itself."""
    plan: Annotated[str, Field(pattern=r"^\S{0,100}$")] = ""
    """Plan of the released commit to use here instead of the one that the prompt names; empty: the prompt's. Not for the default
    environment, which has the prompts' own plans."""
    approvers: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Names of those of `[[approvers]]` who may say yes here; none named: all. A no is always welcome."""


class Weekly(WorkingHours):
    """A part of every week, by the wall clock in `zone`: whole days unless `begin` and `end` say otherwise."""

    days: Annotated[tuple[Day, ...], Field(min_length=1)]
    begin: TimeOfDay = "00:00"
    end: Annotated[str, Field(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")] = END_OF_DAY

    def span(self, day: datetime) -> tuple[datetime, datetime] | None:
        """As of working hours; the day may end at midnight."""
        if self.end != END_OF_DAY:
            return super().span(day)
        short = super(Weekly, self.model_copy(update={"end": "23:59"})).span(day)
        if short is None:
            return None
        begin, _ = short
        midnight = datetime.combine(begin.date() + timedelta(days=1), datetime.min.time())
        return begin, midnight.replace(tzinfo=begin.tzinfo)

    def until(self, at: datetime) -> datetime | None:
        """End (UTC) of the part of the week that `at` is in; None: it is in none.

        What counts is what the clock on the wall shows, on the days it is changed, too.
        """
        span = self.span(at)
        if span is None:
            return None
        wall = at.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)
        begin, end = span
        if not begin.replace(tzinfo=None) <= wall < end.replace(tzinfo=None):
            return None
        ends = end.astimezone(UTC)
        # An hour that the wall clock shows twice: the window's end may come twice, too.
        return ends if ends > at else end.replace(fold=1).astimezone(UTC)


class FreezeSettings(Section):
    """A time in which nothing gets more traffic: no canary begins or advances, nothing is promoted. Rollbacks go on."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,59}$")]
    reason: Annotated[str, Field(max_length=500)] = ""
    """For those whose releases wait."""
    environments: tuple[EnvironmentName, ...] = ()
    """None named: all."""
    prompts: Globs = ()
    """Globs of names of prompts; none: all."""
    since: AwareDatetime | None = None
    """When it begins, with its zone: 2026-12-20T00:00:00+01:00."""
    until: AwareDatetime | None = None
    """When it ends."""
    weekly: Weekly | None = None
    """A part of every week, instead of `since` and `until`; with them, only between them."""

    @model_validator(mode="after")
    def _has_an_end(self) -> FreezeSettings:
        if self.weekly is None and (self.since is None or self.until is None):
            raise ValueError("expected `since` and `until`, or `weekly`")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("`until` is not after `since`")
        return self


def contradictions(settings: Settings) -> Iterator[tuple[tuple[str | int, ...], str, str, str]]:
    """(key, got, expected, advice) of what names an environment or a person that is not there."""
    known = {settings.default_environment, *settings.environments}
    named = ", ".join(sorted(known))
    expected = "expected the name of an environment"
    people = {one.name for one in settings.approvers}
    for name, one in settings.environments.items():
        if one.after and one.after not in known:
            yield ("environments", name, "after"), repr(one.after), expected, f"environments here: {named}"
        elif one.after and name in _before(settings.environments, name):
            got = f"{one.after!r}, which comes after {name}"
            yield ("environments", name, "after"), got, "expected no circle", ""
        if one.plan and name == settings.default_environment:
            said = "the default environment has the plans that prompts name"
            yield ("environments", name, "plan"), repr(one.plan), said, "change [plans], or the prompts"
        strangers = sorted(set(one.approvers or ()) - people)
        if strangers:
            said = "expected names of [[approvers]]"
            yield ("environments", name, "approvers"), ", ".join(strangers), said, ""
    if settings.gateway.environment and settings.gateway.environment not in known:
        got = repr(settings.gateway.environment)
        yield ("gateway", "environment"), got, expected, f"environments here: {named}"
    seen: set[str] = set()
    for index, freeze in enumerate(settings.freezes):
        for stranger in sorted(set(freeze.environments) - known):
            key = ("freezes", index, "environments")
            yield key, repr(stranger), expected, f"environments here: {named}"
        if freeze.name in seen:
            yield (
                ("freezes", index, "name"),
                repr(freeze.name),
                "another freeze has it",
                "name each freeze once",
            )
        seen.add(freeze.name)


def _before(environments: Mapping[str, EnvironmentSettings], name: str) -> set[str]:
    """Every environment that a version passes before this one; itself among them: it is a circle."""
    found: set[str] = set()
    while name in environments and (name := environments[name].after) and name not in found:
        found.add(name)
    return found
