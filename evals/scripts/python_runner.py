"""Operation of the limited process: Python, inline or a function of a file. Standard library only."""

from __future__ import annotations

import asyncio
import builtins
import inspect
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

from promptship.evals.scripts.failing import Failed
from promptship.evals.scripts.python_source import INLINE_FUNCTION, INLINE_NAME, compiled_inline

_FILES: Final[dict[tuple[str, CodeType], ModuleType]] = {}
"""Modules by path and text: what a file does when it is imported is done once."""
_NEIGHBOURS: Final[dict[str, int]] = {}
"""Files that scripts imported, with their time of change."""
_entered: str = ""
"""Directories whose files may be imported now."""
_modules_seen: int = 0


def run(head: dict[str, Any], body: bytes) -> bytes:
    """Call the code with a list of values, as JSON."""
    values = json.loads(body)
    where = head.get("path") or ("<file>" if head.get("file") else INLINE_NAME)
    _enter(head.get("path"), head.get("root"))
    code = _compiled(head, where, tuple(head["names"]))
    try:
        if head.get("file"):
            function = _function(code, head, where)
        else:
            namespace: dict[str, Any] = {"__name__": "script", "__builtins__": builtins}
            exec(code, namespace)  # noqa: S102 - running the suite's code is this program's purpose
            function = namespace[INLINE_FUNCTION]
        result = function(*values)
        if inspect.isawaitable(result):
            result = asyncio.run(_awaited(result))
        return as_json(result)
    except (Failed, MemoryError):
        raise
    except AssertionError as error:
        said = str(error) or "an assert statement failed"
        raise Failed("an assertion of the script failed", said, asserted=True, raised=True) from None
    except BaseException as error:  # noqa: BLE001 - also SystemExit and KeyboardInterrupt of a script
        reason = f"the script raised {type(error).__name__}{_where(error, where)}"
        raise Failed(reason, str(error), raised=True) from None
    finally:
        _remember()


def _compiled(head: Mapping[str, Any], where: str, names: tuple[str, ...]) -> CodeType:
    try:
        return (
            _compiled_file(head["code"], where) if head.get("file") else compiled_inline(head["code"], names)
        )
    except SyntaxError as error:
        raise Failed("the script is not Python", f"{error.msg} (line {error.lineno})", raised=True) from None
    except (ValueError, RecursionError) as error:
        raise Failed("the script is not Python", str(error), raised=True) from None


@lru_cache(maxsize=256)
def _compiled_file(code: str, where: str) -> CodeType:
    return compile(code, where, "exec")


async def _awaited(result: Any) -> Any:
    return await result


def _function(code: CodeType, head: Mapping[str, Any], where: str) -> Any:
    module = _FILES.get((where, code))
    if module is None:
        stem = Path(where).stem if head.get("path") else "script"
        # A file may be called json.py: what others import under that name stays what it is.
        module = ModuleType(f"script_{stem}" if stem in sys.modules else stem)
        if head.get("path"):
            module.__file__ = where
        sys.modules[module.__name__] = module  # a dataclass looks its module up by name
        try:
            exec(code, module.__dict__)  # noqa: S102 - running the suite's code is this program's purpose
        except BaseException:
            del sys.modules[module.__name__]
            raise
        _FILES[where, code] = module
    function: Any = module
    for part in head["function"].split("."):
        function = getattr(function, part, None)
    if not callable(function):
        raise Failed(f"the file has no function {head['function']}", raised=True)
    return function


def _enter(path: str | None, root: str | None) -> None:
    """Let the script import what stands beside it, as it is now; nothing of another directory."""
    global _entered  # noqa: PLW0603 - a process has one working directory and one module table, too
    directory = str(Path(path).parent) if path else root or ""
    entries = [entry for entry in dict.fromkeys((directory, root or "")) if entry]
    key = os.pathsep.join(entries)
    if key != _entered or any(_changed(name) != time for name, time in _NEIGHBOURS.items()):
        old = tuple(entry + os.sep for entry in _entered.split(os.pathsep) if entry)
        for name, module in list(sys.modules.items()):
            if (getattr(module, "__file__", None) or "").startswith(old) and old:
                del sys.modules[name]
        _FILES.clear()
        _NEIGHBOURS.clear()
        sys.path[:] = entries + [entry for entry in sys.path if entry + os.sep not in old]
        sys.path_importer_cache.clear()
        _entered = key
    with suppress(OSError):
        os.chdir(root or directory or "/")


def _remember() -> None:
    """Times of the files imported from the script's directories."""
    global _modules_seen  # noqa: PLW0603 - counts what is in the process's one module table
    entries = tuple(entry + os.sep for entry in _entered.split(os.pathsep) if entry)
    if not entries or len(sys.modules) == _modules_seen:
        return
    _modules_seen = len(sys.modules)
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.startswith(entries) and file not in _NEIGHBOURS:
            _NEIGHBOURS[file] = _changed(file)


def _changed(file: str) -> int:
    try:
        return Path(file).stat().st_mtime_ns
    except OSError:
        return 0


def as_json(value: Any) -> bytes:
    """A result as JSON; NaN and Infinity stay what they are. Raises Failed for what has no JSON."""
    try:
        text = json.dumps(value, default=_plain, ensure_ascii=False)
    except TypeError as error:
        raise Failed(f"the script returned something that is not JSON: {error}", raised=True) from None
    except (ValueError, RecursionError):
        raise Failed("the script returned something that refers to itself", raised=True) from None
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(value, default=_plain).encode()


def _plain(value: Any) -> Any:
    """Numbers and truth values of numpy; what tells of itself as a dict."""
    if type(value).__module__.split(".")[0] == "numpy":
        return value.tolist()
    raise TypeError(f"a {type(value).__name__}")


def _where(error: BaseException, name: str) -> str:
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == name:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" at line {line}" if line else ""
