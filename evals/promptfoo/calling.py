"""Functions in files of a configuration: `file://path.js:function`, `file://path.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from promptship.errors import ConfigError, Problem
from promptship.evals.services import Language, Script

_LANGUAGES: Final = {
    ".js": Language.JAVASCRIPT, ".cjs": Language.JAVASCRIPT, ".mjs": Language.JAVASCRIPT, ".ts": Language.JAVASCRIPT,
    ".cts": Language.JAVASCRIPT, ".mts": Language.JAVASCRIPT, ".py": Language.PYTHON, ".rb": Language.RUBY,
}  # fmt: skip


def split_function(reference: str) -> tuple[str, str]:
    """Path and function of `file://path:function`; the function is empty when none is named."""
    path, colon, function = reference.removeprefix("file://").rpartition(":")
    if colon and Path(path).suffix in _LANGUAGES:
        return path, function
    return reference.removeprefix("file://"), ""


def language_of(reference: str) -> Language | None:
    """The language of a file, with or without a function behind its path; None: none that can be run here."""
    return _LANGUAGES.get(Path(split_function(reference)[0]).suffix)


def is_script(reference: str) -> bool:
    """Whether a path is one of a language that can be run here."""
    return language_of(reference) is not None


def script_of(reference: str, base: Path, arguments: tuple[Any, ...], *, python: str) -> Script:
    """The call of a file's function. `python`: which function of a Python or Ruby file is called when none is named.

    Raises ConfigError: no such file, or one that cannot be run.
    """
    name, function = split_function(reference)
    path = (base / name).resolve()
    language = _LANGUAGES.get(path.suffix)
    if language is None:
        expected = f"expected a file that ends in {', '.join(_LANGUAGES)}"
        raise ConfigError([Problem(str(path), "", "no script", expected)])
    try:
        code = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(path), "", f"not readable ({error})", "expected a script")]) from None
    if not function and language is not Language.JAVASCRIPT:
        function = python
    return Script(
        language=language, code=code, path=path, function=function, arguments=arguments, root=path.parent
    )
