"""Watch the providers: models that appear, retire, or answer under another's name. Each is noticed once, whoever looks how often.

What follows is written down before the cause is: a process that dies in between notices it again, and finds the rest done.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from promptship.errors import Conflict, PromptshipError
from promptship.lifecycle import model_use as use
from promptship.lifecycle.app import App
from promptship.lifecycle.model_use import Used
from promptship.lifecycle.retests import open_retest
from promptship.numbers import plural
from promptship.ports.catalogue import Listed, Unlisted
from promptship.prompts.model_names import understood
from promptship.release.model_changes import ChangeKind, ModelChange, appeared, lead_due, moved, successor

LISTED = "listed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that people, and Prefect's automations, are told of once."""

    kind: str
    """`appeared`, `moved`, `retiring`, `gone`, `drifted`."""
    provider: str
    model: str
    text: str
    payload: dict[str, Any] = field(default_factory=dict)
    """Beside provider and model, for an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What one look at all providers came to."""

    notices: tuple[Notice, ...]
    lists: tuple[Listed | Unlisted, ...]
    problems: tuple[PromptshipError, ...]
    """Of providers that did not answer, and of telling."""


async def lists_of(
    app: App, providers: Iterable[str]
) -> tuple[list[Listed | Unlisted], list[PromptshipError]]:
    """The list of each provider, and what went wrong with the others."""
    lists: list[Listed | Unlisted] = []
    problems: list[PromptshipError] = []
    if app.catalogue is None:
        return [Unlisted(provider=name, reason="this process reads no lists") for name in providers], problems
    try:
        for provider in providers:
            try:
                lists.append(await app.catalogue.listing(provider))
            except PromptshipError as error:
                problems.append(error)
    finally:
        await app.catalogue.aclose()
    return lists, problems


async def watch(app: App) -> Watched:
    """Look at every provider that production uses, open the re-tests that follow, and tell people."""
    used = use.in_use(app)
    providers = list(dict.fromkeys(one.provider for one in used if one.provider))
    lists, problems = await lists_of(app, providers)
    told: list[Notice] = []
    for one in lists:
        mine = [model for model in used if model.provider == one.provider]
        try:
            told += _listing(app, one, mine) if isinstance(one, Listed) else _unlisted(app, mine)
        except PromptshipError as error:  # people cannot be told now: noticed again the next time
            problems.append(error)
    return Watched(notices=tuple(told), lists=tuple(lists), problems=tuple(problems))


def _listing(app: App, listed: Listed, used: list[Used]) -> list[Notice]:
    names = {one.name: one for one in listed.models}
    seen = use.seen_models(app, listed.provider)
    is_first = not app.journal.entries(f"models:{listed.provider}", limit=1)
    told = [] if is_first else _new_ones(app, listed.provider, used, names.keys() - seen)
    for name in sorted(names.keys() - seen):
        data = {"family": understood(name).family, "first_look": is_first}
        with suppress(Conflict):
            app.journal.keep(
                use.topic_of(listed.provider, name), use.SEEN, data, actor="models", at=app.clock.now(), expected_seq=-1
            )  # fmt: skip
    if is_first:
        app.journal.keep(
            f"models:{listed.provider}", LISTED, {"models": len(names)}, actor="models", at=app.clock.now()
        )
    for one in used:
        there = names.get(one.model)
        told += _retiring(app, one, None if there is None else there.shuts_down_on, tuple(names))
        if there is None and not is_first:
            told += _gone(app, one)
    return told


def _unlisted(app: App, used: list[Used]) -> list[Notice]:
    """The settings may know a retirement all the same."""
    return [notice for one in used for notice in _retiring(app, one, None, ())]


def _new_ones(app: App, provider: str, used: list[Used], new: set[str]) -> list[Notice]:
    told = []
    found = appeared([one.model for one in used], new, ignored=app.settings.retest.ignore)
    for one in used:
        if (to := found.get(one.model)) is None:
            continue
        change = ModelChange(kind=ChangeKind.APPEARED, provider=provider, model=one.model, to=to)
        retest, opened = open_retest(app, change, actor="models")
        if opened or retest.told_at is None:
            text = f"{change.sentence()}. {_uses(one)} to be re-tested: {retest.id}"
            told.append(_tell(app, one, "appeared", text, {"to": to, "retest": retest.id}))
    return told


def _retiring(app: App, one: Used, listed: date | None, names: tuple[str, ...]) -> list[Notice]:
    _note_announced(app, one, listed)
    on = use.retirement(app.settings, one.model, listed)
    if on is None:
        return []
    days = (on - app.clock.now().date()).days
    entries = app.journal.entries(use.topic_of(one.provider, one.model), kind=use.WARNED)
    told = [int(entry.data["lead"]) for entry in entries if entry.data["on"] == on.isoformat()]
    lead = lead_due(days, app.settings.retest.lead_times, told)
    if lead is None:
        return []
    to = successor(one.model, names, ignored=app.settings.retest.ignore)
    payload = {"on": on.isoformat(), "days": days, "to": to or "", "retest": ""}
    when = (
        f"retires on {on.isoformat()}, in {plural(days, 'day')}"
        if days > 0
        else f"was retired on {on.isoformat()}"
    )
    text = f"{one.model} at {one.provider} {when}. {_uses(one)} on it"
    if to is not None:
        change = ModelChange(
            kind=ChangeKind.RETIRES, provider=one.provider, model=one.model, to=to, on=on.isoformat()
        )
        retest, _ = open_retest(app, change, actor="models")
        payload["retest"] = retest.id
        text += f"; to be re-tested with {to}: {retest.id}"
    else:
        text += "; no newer model of its family is listed: choose one and run `promptship retest --model NEW`"
    notice = _tell(app, one, "retiring", text, payload)
    use.note(app, one, use.WARNED, {"on": on.isoformat(), "lead": lead})
    return [notice]


def _note_announced(app: App, one: Used, on: date | None) -> None:
    said = None if on is None else on.isoformat()
    if said != use.announced(app, one.provider, one.model):
        use.note(app, one, use.ANNOUNCED, {"on": said})


def _gone(app: App, one: Used) -> list[Notice]:
    """It was listed once and is no more. An alias that was never listed is no news."""
    entries = app.journal.entries(use.topic_of(one.provider, one.model))
    if not any(entry.kind == use.SEEN for entry in entries) or any(
        entry.kind == use.GONE for entry in entries
    ):
        return []
    text = f"{one.model} is no longer among the models that {one.provider} lists. {_uses(one)} on it"
    notice = _tell(app, one, "gone", text, {})
    use.note(app, one, use.GONE, {})
    return [notice]


def note_answer(app: App, one: Used, *, model: str, fingerprint: str) -> Notice | None:
    """Keep who says to have answered; a name that was never seen under an alias opens a re-test against the one before."""
    names, fingerprints = use.answered_as(app, one.provider, one.model)
    if (not model or model in names) and (not fingerprint or fingerprint in fingerprints):
        return None
    before = moved(names, model)
    notice = None
    if before is not None and before != one.model:
        text = f"{one.model} at {one.provider} is answered by {model} now; before it was {before}. {_uses(one)} on it"
        payload = {"before": before, "now": model, "retest": ""}
        if before in use.seen_models(app, one.provider):
            change = ModelChange(
                kind=ChangeKind.MOVED, provider=one.provider, model=one.model, to=before, on=model
            )
            retest, _ = open_retest(app, change, actor="models")
            payload["retest"] = retest.id
            text += f"; both are to be compared: {retest.id}"
        notice = _tell(app, one, "moved", text, payload)
    use.note(app, one, use.ANSWERED, {"model": model, "fingerprint": fingerprint})
    return notice


def tell_of_drift(app: App, one: Used, text: str, payload: dict[str, Any]) -> Notice:
    """Answers under a name come out of another distribution than before."""
    return _tell(app, one, "drifted", text, payload)


def _tell(app: App, one: Used, kind: str, text: str, payload: dict[str, Any]) -> Notice:
    app.approvals.tell(None, text)
    return Notice(kind=kind, provider=one.provider, model=one.model, text=text, payload=payload)


def _uses(one: Used) -> str:
    names = ", ".join(name for name, _ in one.prompts[:5])
    more = f" and {len(one.prompts) - 5} more" if len(one.prompts) > 5 else ""  # noqa: PLR2004 - a line is short
    return f"{plural(len(one.prompts), 'production prompt')} ({names}{more})"
