"""Bytes of a file -> a prompt, whatever its format; and which files are prompts at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Final

from promptship.errors import ConfigError, Problem
from promptship.prompts.formats import chat_json, dotprompt, native, prompty, text
from promptship.prompts.formats.draft import Draft, build
from promptship.prompts.model import Loaded

FILE_BYTES_MAX: Final = 2_000_000
"""Largest prompt file."""

FORMATS: Final[dict[str, Callable[[Draft, str], None]]] = {
    ".yaml": native.read,
    ".yml": native.read,
    ".txt": text.read,
    ".md": text.read,
    ".json": chat_json.read,
    ".prompt": dotprompt.read,
    ".prompty": prompty.read,
}
"""Readers by extension (lower case)."""


def load(path: str, content: bytes) -> Loaded:
    """The prompt in a file.

    Without a `name` in it, the prompt is called like the file: up to the first dot, lower case, spaces as dashes. Line ends
    are formatting (CRLF reads as LF); everything else in a text is kept byte for byte.

    Raises:
        ConfigError: with every problem of the file, each with its line.
    """
    file = PurePosixPath(path)
    reader = FORMATS.get(file.suffix.lower())
    if reader is None:
        got = f"a {file.suffix} file" if file.suffix else "a file without extension"
        raise ConfigError(
            [Problem(file=path, key="", got=got, expected=f"a prompt is one of {', '.join(FORMATS)}")]
        )
    draft = Draft(path=path)
    reader(draft, _decoded(draft, content))
    return build(draft, name=default_name(path))


def default_name(path: str) -> str:
    """Name of a prompt whose file does not give one: the file's, up to the first dot, lower case, spaces as dashes.

    Dotprompt names variants in the file name: `greeting.formal.prompt` is `greeting.formal`.
    """
    file = PurePosixPath(path)
    name = file.stem if file.suffix.lower() == ".prompt" else file.name.split(".", 1)[0]
    return name.strip().lower().replace(" ", "-")


def _decoded(draft: Draft, content: bytes) -> str:
    if len(content) > FILE_BYTES_MAX:
        draft.wrong("", f"{len(content):,} bytes", f"a prompt file has at most {FILE_BYTES_MAX:,}")
        raise draft.fail()
    try:
        decoded = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        draft.wrong(
            "",
            f"the byte 0x{content[error.start]:02x}",
            "expected UTF-8",
            "save the file as UTF-8",
            line=line,
        )
        raise draft.fail() from error
    return decoded.replace("\r\n", "\n").replace("\r", "\n")


def is_prompt_path(path: str, globs: Iterable[str]) -> bool:
    """Whether a file is a prompt: a known extension, and the last glob that matches its path does not begin with `!`.

    `*` and `?` stay within a directory, `**` spans any number of them (also none), `[a-z]` and `[!a-z]` are one character.
    README files and names that begin with `.` or `_` are never prompts.
    """
    file = PurePosixPath(path)
    if file.suffix.lower() not in FORMATS or file.name[0] in "._" or file.stem.lower() == "readme":
        return False
    wanted = False
    for glob in globs:
        pattern = glob.removeprefix("!")
        if _translated(pattern).fullmatch(path):
            wanted = pattern == glob
    return wanted


@lru_cache(maxsize=256)
def _translated(glob: str) -> re.Pattern[str]:
    """Own translation: `PurePath.match` and `full_match` differ between Python 3.11 and 3.13."""
    pieces: list[str] = []
    for token in re.findall(r"\*\*/|/\*\*$|\*+|\?|\[!?\]?[^\]]*\]|.", glob.removeprefix("./"), re.DOTALL):
        match token:
            case "**/":
                pieces.append("(?:[^/]+/)*")
            case "/**":
                pieces.append("/.+")
            case "**":
                pieces.append(".*")
            case "?":
                pieces.append("[^/]")
            case _ if token[0] == "*":
                pieces.append("[^/]*")
            case _ if token[0] == "[" and len(token) > 1:
                pieces.append(_one_of(token[1:-1]))
            case _:
                pieces.append(re.escape(token))
    try:
        return re.compile("".join(pieces), re.DOTALL)
    except re.error as error:
        got = Problem(file=glob, key="", got="a glob that cannot be read", expected=str(error))
        raise ConfigError([got]) from error


def _one_of(members: str) -> str:
    negated = members.startswith("!")
    body = re.sub(r"([\\\[\]^&~|])", r"\\\1", members.removeprefix("!"))
    return f"(?!/)[{'^' if negated else ''}{body}]"
