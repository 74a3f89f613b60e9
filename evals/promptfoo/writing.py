"""Result files in promptfoo's shape: JSON, JSONL and YAML. A file is there whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson

from promptship.errors import ConfigError, Problem
from promptship.evals.promptfoo.results import About, Results
from promptship.evals.rows import Row

_PLAIN: Final = orjson.OPT_NON_STR_KEYS
ENDINGS: Final = (".json", ".jsonl", ".yaml", ".yml")
"""What is written here; `promptship.evals.reports` writes the other formats."""


def write(path: Path, about: About, rows: Iterable[Row]) -> Results:
    """Write the results of a run; rows are read once, one at a time. Gives what was added up.

    Raises:
        ConfigError: the ending is none of `ENDINGS`, or the file cannot be written.
    """
    results = Results(about)
    match path.suffix.lower():
        case ".json":
            lines = _json(results, rows)
        case ".jsonl":
            lines = (
                orjson.dumps(result, default=str, option=_PLAIN | orjson.OPT_APPEND_NEWLINE)
                for result in results.of(rows)
            )
        case ".yaml" | ".yml":
            lines = _yaml(results, rows)
        case _:
            raise ConfigError(
                [
                    Problem(
                        str(path), "", "no result file", f"expected a name that ends in {', '.join(ENDINGS)}"
                    )
                ]
            )
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.writelines(lines)
        draft.replace(path)
    except OSError as error:
        raise ConfigError(
            [
                Problem(
                    str(path),
                    "",
                    f"not writable: {error.strerror or error}",
                    "expected a place for the results",
                )
            ]
        ) from None
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return results


def _json(results: Results, rows: Iterable[Row]) -> Iterator[bytes]:
    yield b'{"evalId":' + _dumped(results.about.run_id) + b',"results":{'
    for key, value in results.head().items():
        yield _dumped(key) + b":" + _dumped(value) + b","
    yield b'"results":['
    comma = b"\n"
    for result in results.of(rows):
        yield comma + _dumped(result)
        comma = b",\n"
    yield b'\n],"prompts":' + _dumped(results.prompts()) + b',"stats":' + _dumped(results.stats()) + b"}"
    for key, value in results.tail().items():
        yield b",\n" + _dumped(key) + b":" + _dumped(value)
    yield b"}\n"


def _yaml(results: Results, rows: Iterable[Row]) -> Iterator[bytes]:
    yield _block({"evalId": results.about.run_id}, 0)
    yield b"results:\n" + _block(results.head(), 2) + b"  results:\n"
    empty = True
    for result in results.of(rows):
        yield _block([result], 4)
        empty = False
    if empty:
        yield b"    []\n"
    yield _block({"prompts": results.prompts(), "stats": results.stats()}, 2)
    yield _block(results.tail(), 0)


def _dumped(value: Any) -> bytes:
    return orjson.dumps(value, default=str, option=_PLAIN)


def _block(value: Any, indent: int) -> bytes:
    """A piece of a YAML document, moved to the right."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    plain = orjson.loads(_dumped(value))  # nothing but JSON's types
    text: str = yaml.dump(plain, Dumper=dumper, allow_unicode=True, sort_keys=False, width=1_000_000)
    pad = " " * indent
    return "".join(
        f"{pad}{line}" if line.strip() else line for line in text.splitlines(keepends=True)
    ).encode()
