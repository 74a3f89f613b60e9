"""`providers` and `targets`: all ways to write them -> specifications."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from promptship.errors import ConfigError, Problem
from promptship.evals.promptfoo import javascript_text
from promptship.evals.promptfoo.environment import render_env, visible_env
from promptship.evals.promptfoo.model import ProviderSpec
from promptship.evals.promptfoo.references import FILE, load_nested, read_text
from promptship.evals.promptfoo.validation import shown
from promptship.evals.promptfoo.yaml_text import read_document

_KEYS: Final = frozenset({"id", "label", "config", "prompts", "transform", "delay", "env", "inputs"})
_FORMS: Final = (
    "expected an id such as openai:gpt-4.1, {id, config}, {an id: {config}} or file:// of such a list"
)


@dataclass(frozen=True, slots=True)
class ProviderEntry:
    """One entry as it was written, with the place it stands in."""

    value: Any
    file: str
    key: str
    line: int = 0


def provider_specs(
    entries: Sequence[ProviderEntry], base: Path, *, env: Mapping[str, str], own: Mapping[str, Any]
) -> tuple[ProviderSpec, ...]:
    """What is to be asked, in order.

    Args:
        entries: as written, `file://` lists included.
        base: directory of the first configuration.
        env: the environment.
        own: `env:` of the configuration.

    Raises:
        ConfigError: every entry that is no provider, every missing or broken file.
    """
    found: list[ProviderSpec] = []
    problems: list[Problem] = []
    for entry in entries:
        try:
            found += [_spec(one, base, env, own) for one in _expanded(entry, base, env)]
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return tuple(found)


def _expanded(entry: ProviderEntry, base: Path, env: Mapping[str, str]) -> Iterator[ProviderEntry]:
    value = entry.value
    if not isinstance(value, str) or not (
        value.startswith(FILE) and value.endswith((".yaml", ".yml", ".json"))
    ):
        yield entry
        return
    path = base / value.removeprefix(FILE)
    try:
        document = read_document(str(path), read_text(path))
    except ConfigError as error:
        if not path.exists():
            got = f"{value!r}, a file that does not exist"
            problem = Problem(
                entry.file, entry.key, got, f"expected a path relative to {base}", line=entry.line
            )
            raise ConfigError([problem]) from None
        raise error from None
    listed = isinstance(document.data, list)
    for number, item in enumerate(document.data if listed else [document.data]):
        key = f"[{number}]" if listed else ""
        yield ProviderEntry(_loaded(item, base, env), str(path), key, document.line(key))


def _loaded(item: Any, base: Path, env: Mapping[str, str]) -> Any:
    """A provider with its files loaded; its id stays: a provider that is a script is named by its path."""
    if not isinstance(item, Mapping):
        return item
    return {
        name: value if name == "id" else load_nested(value, base, env=env) for name, value in item.items()
    }


def _spec(entry: ProviderEntry, base: Path, env: Mapping[str, str], own: Mapping[str, Any]) -> ProviderSpec:
    said = _options(entry)
    over = {**own, **(said["env"] if isinstance(said.get("env"), Mapping) else {})}
    seen = visible_env(env, over)

    def text(name: str) -> str:
        value = said.get(name)
        return str(render_env(value, seen)) if isinstance(value, str) else ""

    config, delay, prompts = said.get("config"), said.get("delay"), said.get("prompts")
    _check(entry, said)
    return ProviderSpec(
        id=text("id"), label=text("label"), config=render_env(config, seen) if isinstance(config, Mapping) else {},
        prompts=tuple(map(str, prompts)) if isinstance(prompts, list) else None, transform=said.get("transform"),
        delay_ms=float(delay) if isinstance(delay, int | float) else 0.0, inputs=said.get("inputs"), base=base, file=entry.file, line=entry.line, bare=isinstance(entry.value, str),
        env={
            name: javascript_text.text(value)
            for name, value in (said.get("env") or {}).items()
            if value is not None
        },
    )  # fmt: skip


def _options(entry: ProviderEntry) -> Mapping[str, Any]:
    value = entry.value
    if isinstance(value, str) and value:
        return {"id": value}
    if isinstance(value, Mapping):
        if isinstance(value.get("id"), str) and value["id"]:
            return value
        name = next(iter(value), "")
        inner = value.get(name)
        if len(value) == 1 and name and name not in _KEYS and isinstance(inner, Mapping):
            own_id = inner.get("id")
            return {**inner, "id": own_id if isinstance(own_id, str) and own_id else name}
    raise ConfigError([Problem(entry.file, entry.key, shown(value), _FORMS, line=entry.line)])


def _check(entry: ProviderEntry, said: Mapping[str, Any]) -> None:
    kinds: Mapping[str, tuple[Any, str]] = {
        "config": (Mapping, "a mapping"), "env": (Mapping, "a mapping"), "prompts": (list, "a list of labels"),
        "delay": ((int, float), "milliseconds"),
    }  # fmt: skip
    problems = [
        Problem(
            entry.file,
            f"{entry.key}.{name}".lstrip("."),
            shown(said[name]),
            f"expected {expected}",
            line=entry.line,
        )
        for name, (kind, expected) in kinds.items()
        if said.get(name) is not None and not isinstance(said[name], kind)
    ]
    if problems:
        raise ConfigError(problems)
