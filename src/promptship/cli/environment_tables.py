"""What `promptship status` and `promptship freeze` print."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from promptship.numbers import moment, percent, short
from promptship.render.facts import PHASE_WORDS, freeze_words
from promptship.render.table import aligned, clipped

if TYPE_CHECKING:
    from promptship.lifecycle.freezes import Freeze
    from promptship.lifecycle.onward import Served
    from promptship.release.events import Frozen
    from promptship.routing.table import Route

_FREEZES: Final = ("freeze", "environments", "prompts", "when", "by", "reason")
_STATUS: Final = ("prompt", "environment", "serves", "since", "release")


def status_table(found: Sequence[Served]) -> str:
    """One row per prompt and environment."""
    if not found:
        return "nothing is served yet: adopt a prompt (`promptship adopt`) or release one"
    rows = [
        (
            one.prompt, one.environment, _serves(one.route), moment(one.since) if one.since else "", _release(one)
        )
        for one in found
    ]  # fmt: skip
    return "\n".join(aligned([_STATUS, *rows]))


def _serves(route: Route | None) -> str:
    if route is None:
        return "-"
    if route.killed:
        return f"{short(route.killed)} (kill switch)"
    split = route.split
    tried = f", {percent(split.share)} {short(split.candidate)}" if split and split.is_canary else ""
    return f"{short(route.stable)}{tried}"


def _release(one: Served) -> str:
    if one.release is None:
        return ""
    held = f", {freeze_words(one.freeze)}" if one.freeze else ""
    return f"{one.release.id} {PHASE_WORDS[one.release.phase]}{held}"


def status_data(one: Served) -> dict[str, Any]:
    """The row as JSON says it."""
    route, release = one.route, one.release
    return {
        "prompt": one.prompt,
        "environment": one.environment,
        "serves": None if route is None else (route.killed or route.stable),
        "commit": None if route is None else route.commit,
        "candidate": None if route is None or route.split is None else route.split.candidate or None,
        "share": None if route is None or route.split is None else route.split.share,
        "is_killed": route is not None and route.killed is not None,
        "since": one.since,
        "release": None if release is None else {"id": release.id, "phase": release.phase.value, "commit": release.commit},
        "freeze": None if one.freeze is None else freeze_fact(one.freeze),
    }  # fmt: skip


def freeze_fact(freeze: Frozen) -> dict[str, Any]:
    """What keeps traffic from growing."""
    return {"reason": freeze.reason, "until": freeze.until}


def freeze_table(found: Sequence[Freeze]) -> str:
    """One row per freeze."""
    if not found:
        return "no freeze: add [[freezes]] to promptship.toml, or begin one with `promptship freeze on`"
    rows = [
        (
            one.name, ", ".join(one.environments) or "all", ", ".join(one.prompts) or "all", _when(one),
            one.by.removeprefix("person:") or "settings", clipped(one.reason, 80),
        )
        for one in found
    ]  # fmt: skip
    return "\n".join(aligned([_FREEZES, *rows]))


def freeze_data(one: Freeze) -> dict[str, Any]:
    """A freeze as JSON says it."""
    return {
        "name": one.name, "reason": one.reason, "environments": one.environments, "prompts": one.prompts,
        "since": one.since, "until": one.until, "by": one.by or None,
        "weekly": None if one.weekly is None else one.weekly.model_dump(mode="json"),
    }  # fmt: skip


def _when(one: Freeze) -> str:
    said = []
    if one.weekly is not None:
        days = ", ".join(one.weekly.days)
        said.append(f"{days} {one.weekly.begin}-{one.weekly.end} {one.weekly.zone}")
    if one.since is not None or one.until is not None:
        said.append(f"{_moment(one.since)} to {_moment(one.until)}")
    return ", ".join(said)


def _moment(at: datetime | None) -> str:
    return moment(at) if at is not None else "open end"
