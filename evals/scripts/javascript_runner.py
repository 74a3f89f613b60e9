"""Operation of the limited process: JavaScript by QuickJS, inline or a function of a file."""

from __future__ import annotations

import json
import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import quickjs  # type: ignore[import-untyped]

from promptship.evals.scripts.failing import Failed, too_long, too_much_memory
from promptship.evals.scripts.javascript_files import Files
from promptship.evals.scripts.limits import alarm

_HERE: Final = Path(__file__).parent
_PRELUDE: Final = (_HERE / "prelude.js").read_text(encoding="utf-8")
_SHIMS: Final = {
    file.stem: file.read_text(encoding="utf-8") for file in sorted((_HERE / "shims").glob("*.js"))
}

REALMS_MAX: Final = 32
"""Kept with their compiled code; each may hold `memory` bytes."""
INLINE_MAX: Final = 1000
"""Inline scripts in one realm before it is left to the garbage collector."""
STACK_BYTES: Final = 1 << 20
GRACE_S: Final = 0.5
"""The engine looks at its clock now and then; the kernel ends the process when it forgot to for so long."""
RUNS_MAX: Final = 100
"""How often a file is begun anew because it reads a file that nobody expected."""
_TAMPERS: Final = re.compile(
    r"prototype|__proto__|\bglobal|\beval\b|\bFunction\b|setPrototypeOf|defineProperty|\bthis\b|\bprocess\b|constructor"
    r"|\b(?:Math|JSON|Object|Array|String|Number|Date|RegExp|Promise|Reflect|Map|Set|console)\b\s*(?:\.\s*\w+|\[[^\]]*\])\s*=[^=]"
)
"""Code that may change what the next script finds gets a realm of its own."""
_MISSING: Final = re.compile(
    r"'?\b(Intl|Buffer|crypto|AbortController|AbortSignal|Blob|FormData|Headers|Request|Response|WebAssembly|__dirname)\b'? is not defined"
)
_NETWORK: Final = re.compile(r"'?\b(fetch|XMLHttpRequest|WebSocket|EventSource)\b'? is not defined")
_LINE: Final = re.compile(r"<input>:(\d+)")
_STATEMENT: Final = re.compile(r"(?:return|throw|if|for|while|switch|try|const|let|var)\b")
_LINES_BEFORE: Final = 2
"""What the engine writes before the body of a function made from text."""


class Realm:
    """One engine with its own globals and memory."""

    def __init__(self, head: dict[str, Any], files: Files | None) -> None:
        context = quickjs.Context()
        context.set_memory_limit(head["memory"])
        context.set_max_stack_size(STACK_BYTES)
        self._context = context
        self._host = context.eval(_PRELUDE)
        self.files = files
        self.calls = 0
        options = {
            "root": head.get("root"),
            "env": head["env"],
            "shims": _SHIMS,
            "files": files.entries if files else {},
        }
        self._host("boot", json.dumps(options), None)

    def call(self, head: dict[str, Any], values: str) -> str:
        """What `prelude.js` says about one call: a letter, whether something was left behind, the rest."""
        self.calls += 1
        deadline = time.monotonic() + head["limit"]
        said = self.load(head)
        if said[0] == "v":
            said = self._host("call", values, None)
        return self._settled(deadline, head["limit"]) if said[0] == "p" else str(said)

    def load(self, head: dict[str, Any]) -> str:
        """What `prelude.js` says about the code, before it is called."""
        self._context.set_time_limit(head["limit"])
        if head.get("file"):
            return str(self._host("file", head.get("path") or "", head["function"]))
        return str(self._host("inline", json.dumps(head["names"]), head["body"]))

    def syntax_error(self, code: str) -> dict[str, Any] | None:
        """What is no JavaScript in a text; None: it can be compiled."""
        said = str(self._host("inline", "[]", code))
        error: dict[str, Any] = json.loads(said[2:]) if said[0] == "e" else {}
        return error if error.get("name") == "SyntaxError" else None

    def _settled(self, deadline: float, limit_s: float) -> str:
        while True:
            jobs = 0
            while self._context.execute_pending_job():
                jobs += 1
                if jobs % 256 == 0 and time.monotonic() > deadline:
                    raise too_long(limit_s)
            said = self._host("settled", None, None)
            if said[0] != "p":
                return str(said)
            wait_ms = self._host("tick", None, None)
            if wait_ms < 0:
                raise Failed("the script's promise never settles", raised=True)
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise too_long(limit_s)
            if wait_ms > 0:
                time.sleep(min(wait_ms / 1000.0, left_s))


class Realms:
    """The realms of this process: one for harmless inline code, one for each file and for each inline code that may tamper."""

    def __init__(self) -> None:
        self._realms: OrderedDict[tuple[Any, ...], Realm] = OrderedDict()

    def run(self, head: dict[str, Any], values: str) -> str:
        """The value as JSON. Raises Failed."""
        if not head.get("file"):
            head["body"] = body_of(head["code"])
        key, files = self._key(head), None
        for _ in range(RUNS_MAX):
            realm = self._realms.get(key)
            if realm is not None and realm.files is not None and realm.files.is_stale:
                realm = None
            realm = realm or Realm(head, files or files_of(head))
            self._realms.pop(key, None)  # unless all goes well
            said = self._call(realm, head, values)
            if said[0] == "m" and realm.files is not None:
                files = realm.files
                files.read(json.loads(said[2:]))
                continue
            if said[1] == " " and realm.calls < INLINE_MAX:
                self._realms[key] = realm
                if len(self._realms) > REALMS_MAX:
                    self._realms.popitem(last=False)
            return _value(said, head, realm.files)
        raise Failed("the script reads too many files", raised=True)

    def clear(self) -> None:
        """Forget everything, when memory is short."""
        self._realms.clear()

    @staticmethod
    def _key(head: dict[str, Any]) -> tuple[Any, ...]:
        if head.get("file"):
            return (head.get("path"), head["code"], head.get("root"))
        own = head["body"] if _TAMPERS.search(head["body"]) else None
        return (None, own, head.get("root"), *head["names"])

    @staticmethod
    def _call(realm: Realm, head: dict[str, Any], values: str) -> str:
        try:
            return realm.call(head, values)
        except quickjs.JSException as error:
            message = str(error)
            if "interrupted" in message:
                raise too_long(head["limit"]) from None
            if "out of memory" in message or message.strip() in ("null", ""):
                raise too_much_memory() from None
            raise Failed("the script raised an exception", message.partition("\n")[0], raised=True) from None


def body_of(code: str) -> str:
    """Inline code as the body of a function. One line is an expression, unless it ends like a block of YAML and is a statement."""
    line = code.strip()
    statements = "\n" in line or ("\n" in code and _STATEMENT.match(line))
    return line if statements else f"return {line}"


def files_of(head: dict[str, Any]) -> Files:
    """Files that a script may read, with its own."""
    path, root = head.get("path") or "", head.get("root")
    files = Files([directory for directory in (root, path and str(Path(path).parent)) if directory])
    if head.get("file"):
        files.put(path, head["code"])
    return files


def line_of(stack: str) -> int:
    """The innermost line of a script, from 1; 0: none is told."""
    line = _LINE.search(stack)
    return max(int(line[1]) - _LINES_BEFORE, 1) if line else 0


def _value(said: str, head: dict[str, Any], files: Files | None) -> str:
    if said[0] == "v":
        return said[2:]
    raise failed(json.loads(said[2:]), head, files)


def failed(error: Mapping[str, Any], head: Mapping[str, Any], files: Files | None) -> Failed:
    """What an exception of a script means."""
    name, message = error["name"], error["message"]
    if name == "NeedsNode":
        return Failed(message)
    if name == "NoFunction":
        return Failed(message, raised=True)
    if name == "ReferenceError" and message.startswith("could not load module"):
        return Failed("import() works in files only")
    if name == "NotJson":
        return Failed("the script returned something that is not JSON", message, raised=True)
    if name == "OutOfMemory" or (name == "InternalError" and "out of memory" in message):
        return too_much_memory()
    if name == "ReferenceError" and (found := _MISSING.search(message)):
        return Failed(f"needs Node: {found[1]}")
    if name == "ReferenceError" and (found := _NETWORK.search(message)):
        return Failed(f"{found[1]} is not available: scripts have no network")
    if name == "SyntaxError" and not head.get("file") and "at Function (native)" in error["stack"]:
        return Failed("the script is not JavaScript", message, raised=True)
    alone = files is None or sum(1 for entry in files.entries.values() if entry) <= 1
    line = line_of(error["stack"]) if alone else 0
    return Failed(f"the script raised {name}{f' at line {line}' if line else ''}", message, raised=True)


_REALMS: Final = Realms()


def run(head: dict[str, Any], body: bytes) -> bytes:
    """Call the code with a list of values, as JSON."""
    alarm(head["limit"] + GRACE_S)
    try:
        return _REALMS.run(head, body.decode()).encode()
    except MemoryError:
        _REALMS.clear()
        raise
