"""promptship.toml -> settings, and the plan that a prompt's release follows.

Every problem of a file is reported at once, with its dotted key, what was found, what was expected and, where it can be found,
its line. Values are shown short, and never when they look like a secret.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from promptship.errors import ConfigError, NotFound, Problem
from promptship.prompts.model import Prompt, SourceMap
from promptship.release.plan import Plan, merge
from promptship.settings import Settings, environments
from promptship.toml_lines import Path as Key
from promptship.toml_lines import toml_lines
from promptship.validation import dotted, problems_of

SETTINGS_FILE: Final = "promptship.toml"
DEFAULT_PLAN: Final = "default"


class _Plans(BaseModel):
    """Only the plans of a file: the rest of it belongs to the service that was started with it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    plans: dict[str, Plan] = Field(default_factory=dict)


def load_settings(where: Path) -> Settings:
    """Read promptship.toml: `where` is the file, or the directory it stands in. Parent directories are not searched.

    Raises:
        NotFound: there is no such file.
        ConfigError: it cannot be read, or something in it is wrong.
    """
    path = where / SETTINGS_FILE if where.is_dir() else where
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        message = (
            f"no settings at {path}; run in the root of the prompt repository, or name the file with --config"
        )
        raise NotFound(message) from error
    except (OSError, UnicodeDecodeError) as error:
        got = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else f"not readable: {error.strerror}"
        raise ConfigError(
            [Problem(file=str(path), key="", got=got, expected="expected a TOML file")]
        ) from error
    return parse_settings(text, file=str(path), root=path.resolve().parent)


def parse_settings(text: str, *, file: str, root: Path) -> Settings:
    """Settings from the text of a promptship.toml that stands in directory `root`; `file` is its name in errors.

    Raises:
        ConfigError: every problem of the file.
    """
    raw, line_of = _read(text, file)
    # `root` is a field of the settings, but it is set here and nowhere else.
    problems = [_no_root(file, line_of(("root",)))] if raw.pop("root", None) is not None else []
    broken: set[str | int] = set()
    try:
        settings = Settings.model_validate({**raw, "root": root})
    except ValidationError as error:
        problems += problems_of(error, Settings, file=file, line_of=line_of)
        broken = {details["loc"][0] for details in error.errors(include_url=False)}
        settings = _sound_part(raw, broken)
    problems += (
        Problem(file=file, key=dotted(key), got=got, expected=expected, advice=advice, line=line_of(key))
        for key, got, expected, advice in _contradictions(settings)
    )
    if problems:
        raise ConfigError(sorted(problems, key=lambda problem: problem.line))
    return settings


def _sound_part(raw: Mapping[str, Any], broken: set[str | int]) -> Settings:
    """The settings without the sections that do not validate, so that contradictions in the others are reported too."""
    if "providers" in broken:
        broken = broken | {"models"}  # they would seem to name providers that do not exist
    return Settings.model_validate({name: section for name, section in raw.items() if name not in broken})


def parse_plans(text: str, *, file: str) -> dict[str, Plan]:
    """The `[plans]` of a promptship.toml, for example of a released commit; nothing else in it is looked at.

    Raises:
        ConfigError: every problem of the plans.
    """
    raw, line_of = _read(text, file)
    try:
        return _Plans.model_validate(raw).plans
    except ValidationError as error:
        raise ConfigError(problems_of(error, _Plans, file=file, line_of=line_of)) from error


def plan_for(prompt: Prompt, plans: Mapping[str, Plan], source: SourceMap, *, instead: str = "") -> Plan:
    """The plan of a prompt's release: the named one, with the other keys of the prompt's `release:` block over it.

    `release.plan` names it, `default` when it does not; promptship's own defaults when there is no `[plans.default]`. `instead`: the
    plan that the environment names in its place.

    Raises:
        ConfigError: the block names a plan that does not exist, or does not fit.
    """

    def line_of(key: Key) -> int:
        return source.line(dotted(("release", *key)))

    override = dict(prompt.release)
    name = override.pop("plan", DEFAULT_PLAN)
    if instead and instead not in plans and instead != DEFAULT_PLAN:
        raise ConfigError([_unknown_plan(SETTINGS_FILE, instead, plans, 0, key="plan of the environment")])
    name = instead or name
    if not isinstance(name, str) or (name not in plans and name != DEFAULT_PLAN):
        raise ConfigError([_unknown_plan(source.path, name, plans, line_of(("plan",)))])
    base = plans.get(name, Plan())
    try:
        return Plan.model_validate(merge(base.model_dump(mode="json"), override))
    except ValidationError as error:
        raise ConfigError(
            problems_of(error, Plan, file=source.path, line_of=line_of, prefix=("release",))
        ) from error


def settings_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of promptship.toml, for editors."""
    schema = Settings.model_json_schema()
    schema["properties"].pop("root", None)
    return _published(schema, "promptship.toml")


def plan_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of one `[plans.<name>]` table; a prompt's `release:` block may also have `plan`."""
    return _published(Plan.model_json_schema(), "promptship release plan")


def plan_line(text: str, name: str) -> int:
    """1-based line where a valid promptship.toml begins to speak about a plan; 1 when it does not."""
    lines = toml_lines(text)
    return lines.get(("plans", name), lines.get(("plans",), 1))


def _published(schema: dict[str, Any], title: str) -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}


def _read(text: str, file: str) -> tuple[dict[str, Any], Callable[[Key], int]]:
    """The raw tables, and a function that finds the line of a key or of its nearest parent (0: unknown)."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        what = str(error).partition(" (at ")[0]
        line = int(at.group(1)) if at else text.count("\n") + 1
        column = f" at column {at.group(2)}" if at else ""
        problem = Problem(
            file=file, key="", got=f"not TOML: {what}{column}", expected="expected TOML", line=line
        )
        raise ConfigError([problem]) from error
    lines = toml_lines(text)

    def line_of(key: Key) -> int:
        return next((lines[key[:end]] for end in range(len(key), 0, -1) if key[:end] in lines), 0)

    return raw, line_of


def _contradictions(settings: Settings) -> Iterator[tuple[Key, str, str, str]]:
    """(key, got, expected, advice) of values that are well formed but do not fit each other."""
    for name, provider in settings.providers.items():
        if not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", provider.base_url):
            expected = "expected an address such as https://host/v1 without user and password"
            yield ("providers", name, "base_url"), "not such an address", expected, ""
    for name, model in settings.models.items():
        if model.provider is not None and model.provider not in settings.providers:
            known = ", ".join(settings.providers) or "none"
            near = get_close_matches(model.provider, settings.providers, n=1, cutoff=0.6)
            advice = f"did you mean {near[0]!r}?" if near else f"providers here: {known}"
            yield ("models", name, "provider"), repr(model.provider), "expected a key of [providers]", advice
        if model.retires_on is not None and not _is_date(model.retires_on):
            expected = "expected a date such as 2027-01-14"
            yield ("models", name, "retires_on"), repr(model.retires_on), expected, ""
    yield from environments.contradictions(settings)
    yield from _doubles(settings)


def _doubles(settings: Settings) -> Iterator[tuple[Key, str, str, str]]:
    for what in ("name", "email", "slack"):
        first: dict[str, int] = {}
        for index, approver in enumerate(settings.approvers):
            value = str(getattr(approver, what)).strip().lower()
            if value in first:
                expected = f"already belongs to approvers[{first[value]}]; expected one entry per person"
                yield ("approvers", index, what), repr(getattr(approver, what)), expected, ""
            elif value:
                first[value] = index
            elif what == "name":
                yield (
                    ("approvers", index, "name"),
                    "empty",
                    "expected the name that stands in the history",
                    "",
                )


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _no_root(file: str, line: int) -> Problem:
    expected = "no such key; the root is the directory of this file"
    return Problem(file=file, key="root", got="set", expected=expected, advice="remove it", line=line)


def _unknown_plan(
    file: str, name: object, plans: Mapping[str, Plan], line: int, *, key: str = "release.plan"
) -> Problem:
    near = get_close_matches(str(name), plans, n=1, cutoff=0.6)
    known = ", ".join(plans) or "none"
    advice = f"did you mean {near[0]!r}?" if near else f"plans there: {known}"
    expected = f"expected the name of a [plans] table of {SETTINGS_FILE}"
    return Problem(file=file, key=key, got=repr(name), expected=expected, advice=advice, line=line)
