"""Variables that stand in files: text, YAML, PDF, pictures, sound and film, and functions that make them."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from promptship.errors import ConfigError, Problem
from promptship.evals.promptfoo import javascript_text
from promptship.evals.promptfoo.calling import is_script, script_of, split_function
from promptship.evals.promptfoo.environment import is_on
from promptship.evals.promptfoo.references import FILE, read_text, read_yaml
from promptship.evals.services import Scripts

_MIME: Final = {
    "jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "gif": "image/gif", "bmp": "image/bmp",
    "webp": "image/webp", "svg": "image/svg+xml", "tif": "image/tiff", "tiff": "image/tiff", "avif": "image/avif",
    "heic": "image/heic", "heif": "image/heif",
}  # fmt: skip
_MEDIA: Final = frozenset(
    "wav mp3 ogg aac m4a flac wma aif aiff aifc opus mp4 mpeg mpg webm mov avi flv wmv mkv m4v 3gp 3gpp".split()  # noqa: SIM905 - a list of words
)
_SIGNATURES: Final = (
    (b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF87a", "image/gif"), (b"GIF89a", "image/gif"),
    (b"RIFF", "image/webp"), (b"BM", "image/bmp"), (b"II*", "image/tiff"), (b"MM\x00", "image/tiff"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
)  # fmt: skip
_PACKAGE: Final = "package:"


async def load_file_vars(
    variables: dict[str, Any],
    prompt: str,
    provider: Mapping[str, Any],
    scripts: Scripts,
    env: Mapping[str, str],
    base: Path,
) -> None:
    """Put the content of files in place of `file://` values, one after the other: functions see those before them.

    Raises:
        ConfigError: a file that is missing, broken or of a kind that cannot be read.
        ScriptFailed: a function failed.
    """
    for name, value in list(variables.items()):
        if not isinstance(value, str):
            continue
        if value.startswith(_PACKAGE):
            raise _problem(
                name, f"the package {value!r}", "expected a file: functions of packages are not available"
            )
        if not value.startswith(FILE):
            continue
        if is_script(value):
            variables[name] = await _made(name, value, variables, prompt, provider, scripts, base)
        else:
            variables[name] = await asyncio.to_thread(_read, base / value.removeprefix(FILE), env)


async def _made(
    name: str, reference: str, variables: Mapping[str, Any], prompt: str, provider: Mapping[str, Any], scripts: Scripts, base: Path
) -> Any:  # fmt: skip
    """What a function says the variable is: `{output}`, or `{error}`."""
    arguments: tuple[Any, ...] = (name, prompt, dict(variables))
    in_python = split_function(reference)[0].endswith(".py")
    script = script_of(
        reference, base, arguments if in_python else (*arguments, dict(provider)), python="get_var"
    )
    made = await scripts.run(script)
    if isinstance(made, Mapping) and made.get("error"):
        raise _problem(
            name, f"an error of {reference}: {javascript_text.text(made['error'])}", "expected {output}"
        )
    output = made.get("output") if isinstance(made, Mapping) else None
    if not output or (in_python and not isinstance(output, str)):
        raise _problem(name, f"nothing from {reference}", "expected the function to return {output: text}")
    return output.strip() if in_python else output


def _problem(name: str, got: str, expected: str) -> ConfigError:
    return ConfigError([Problem("vars", name, got, expected)])


def _read(path: Path, env: Mapping[str, str]) -> str:
    kind = path.name.rpartition(".")[2].lower()
    if kind in {"yaml", "yml"}:
        return javascript_text.json_text(read_yaml(read_text(path), str(path)))
    if kind == "pdf" and not is_on(env, "PROMPTFOO_DISABLE_PDF_AS_TEXT"):
        return _pdf_text(path)
    if (kind in _MIME or kind in _MEDIA) and not is_on(env, "PROMPTFOO_DISABLE_MULTIMEDIA_AS_BASE64"):
        content = _content(path)
        encoded = base64.b64encode(content).decode("ascii")
        return encoded if kind in _MEDIA else f"data:{_mime(kind, content)};base64,{encoded}"
    return read_text(path).strip()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            [Problem(str(path), "", f"not readable ({error.strerror})", "expected a file")]
        ) from None


def _mime(kind: str, content: bytes) -> str:
    """By the first bytes, else by the name."""
    return next((mime for start, mime in _SIGNATURES if content.startswith(start)), _MIME[kind])


def _pdf_text(path: Path) -> str:
    try:
        status = os.stat(path)  # noqa: PTH116 - also what identifies a version of the file
    except OSError as error:
        raise ConfigError(
            [Problem(str(path), "", f"not readable ({error.strerror})", "expected a PDF")]
        ) from None
    return _extracted(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _extracted(path: Path, _changed: int, _size: int) -> str:
    """Text of a PDF's pages; the same file is read once, however many rows use it."""
    from pypdf import PdfReader  # 150 ms

    try:
        return "\n\n".join(page.extract_text() for page in PdfReader(path).pages).strip()
    except Exception as error:  # noqa: BLE001 - pypdf lets out whatever its parsers raise
        got = f"no PDF that can be read ({type(error).__name__})"
        raise ConfigError([Problem(str(path), "", got, "expected a PDF with text")]) from None
