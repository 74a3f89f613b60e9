"""`file://` in values: what the file holds takes the place of its path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from promptship.errors import ConfigError, Problem
from promptship.evals.document import Document
from promptship.evals.promptfoo import javascript_text
from promptship.evals.promptfoo.calling import is_script, split_function
from promptship.evals.promptfoo.model import Effect, Note
from promptship.evals.promptfoo.nunjucks import Nunjucks, TemplateError
from promptship.evals.promptfoo.paths import glob_files, has_wildcards
from promptship.evals.promptfoo.tables import read_csv
from promptship.evals.promptfoo.yaml_text import Timestamp, read_document

FILE: Final = "file://"
_YAML: Final = frozenset({".yaml", ".yml"})
_DATA: Final = frozenset({*_YAML, ".json"})


def read_yaml(text: str, name: str) -> Any:
    """The data of YAML or JSON text, as promptfoo reads it; dates are ISO 8601. Raises ConfigError, which says `name`."""
    return plain(read_document(name, text).data)


def plain(value: Any) -> Any:
    """The same data; dates are ordinary text."""
    return _plain(value, str, {})


def without_dates(value: Any) -> Any:
    """The same data; a date is an empty object, as promptfoo makes it in configurations and files of tests."""
    return _plain(value, lambda _: {}, {})


def _plain(value: Any, date: Callable[[Timestamp], Any], done: dict[int, Any]) -> Any:
    """`done` keeps what is shared between anchors shared."""
    if isinstance(value, Timestamp):
        return date(value)
    if not isinstance(value, dict | list):
        return value
    if id(value) not in done:
        if isinstance(value, dict):
            done[id(value)] = {key: _plain(item, date, done) for key, item in value.items()}
        else:
            done[id(value)] = [_plain(item, date, done) for item in value]
    return done[id(value)]


def dates(data: Any) -> Iterator[str]:
    """Keys of dates that were not quoted; what anchors share is looked at once."""
    waiting: list[tuple[str, Any]] = [("", data)]
    seen: set[int] = set()
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, Timestamp):
            yield key
        elif isinstance(value, dict | list) and id(value) not in seen:
            seen.add(id(value))
            if isinstance(value, dict):
                waiting += [(f"{key}.{name}".lstrip("."), item) for name, item in value.items()]
            else:
                waiting += [(f"{key}[{at}]", item) for at, item in enumerate(value)]


def date_notes(data: Any, document: Document) -> Iterator[Note]:
    """What promptfoo makes of dates that were not quoted."""
    for key in dates(data):
        line = document.line(key)
        where = f"{document.path}:{line}: {key}" if line else f"{document.path}: {key}"
        what = "a date without quotes becomes an empty object, as in promptfoo"
        yield Note(where=where, effect=Effect.DIFFERS, what=what, advice="put it in quotes")


def read_text(path: Path) -> str:
    """Text of a file. Raises ConfigError."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        got = "no such file" if isinstance(error, FileNotFoundError) else f"not readable ({error.strerror})"
        raise ConfigError([Problem(str(path), "", got, "expected a file")]) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            [Problem(str(path), "", f"byte {error.start} is not UTF-8", "expected text in UTF-8")]
        ) from None


def load_value(reference: str, base: Path) -> Any:
    """What a `file://` reference stands for: data of JSON and YAML, rows of CSV, else text; a list for a pattern.

    Text of `.txt` is trimmed. Scripts are not run here: see `calling.script_of`.

    Raises:
        ConfigError: no such file, broken content, a script.
    """
    name = reference.removeprefix(FILE)
    if is_script(reference):
        raise ConfigError(
            [
                Problem(
                    reference, "", "a script", "expected a file of data", "name a .json, .yaml or .txt file"
                )
            ]
        )
    if not has_wildcards(name):
        return _content(base / name)
    found = glob_files(name, base)
    if not found:
        raise ConfigError(
            [Problem(reference, "", "no file found", f"expected a pattern that finds files below {base}")]
        )
    items: list[Any] = []
    for path in found:
        content = _content(path)
        items += content if isinstance(content, list) else [] if content is None else [content]
    return items


def _content(path: Path) -> Any:
    text, kind = read_text(path), path.suffix.lower()
    if kind == ".json":
        return read_json(text, str(path))
    if kind in _YAML:
        return read_yaml(text, str(path))
    if kind == ".csv":
        rows = [dict(row.cells) for row in read_csv(text, str(path))]
        return [next(iter(row.values())) for row in rows] if rows and len(rows[0]) == 1 else rows
    return text.strip() if kind == ".txt" else text


def read_json(text: str, name: str) -> Any:
    """Data of strict JSON. Raises ConfigError, which says `name`."""
    try:
        return javascript_text.parse_json(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 0)
        got = getattr(error, "msg", "") or str(error)
        raise ConfigError([Problem(name, "", got, "expected JSON", line=line)]) from None


def load_nested(value: Any, base: Path, *, env: Mapping[str, str] | None = None, keep: str = "") -> Any:
    """A value with every `file://` inside of it loaded, as in files of prompts and providers.

    Left as they are: variables (`vars`), functions of scripts, and scripts that are the value of an assertion.

    Raises:
        ConfigError: what `load_value` raises.
    """
    if isinstance(value, Mapping):
        asserting = value.get("type") in {"javascript", "python"}
        kept = {
            name: "vars" if name == "vars" else "assertion" if name == "value" and asserting else keep
            for name in value
        }
        return {name: load_nested(item, base, env=env, keep=kept[name]) for name, item in value.items()}
    if isinstance(value, list):
        return [load_nested(item, base, env=env, keep=keep) for item in value]
    if not isinstance(value, str) or not value.startswith(FILE):
        return value
    try:
        reference = Nunjucks(env=env).render(value, {})
    except TemplateError as error:
        raise ConfigError(
            [Problem(value, "", "a template that is wrong", f"expected a path: {error}")]
        ) from None
    if keep == "vars" or (is_script(reference) and (keep == "assertion" or split_function(reference)[1])):
        return reference
    if is_script(reference):  # without a function its text is meant
        return read_text(base / reference.removeprefix(FILE))
    name = reference.removeprefix(FILE)
    if (base / name).suffix.lower() in _DATA or has_wildcards(name):
        return load_value(reference, base)
    return read_text(base / name)
