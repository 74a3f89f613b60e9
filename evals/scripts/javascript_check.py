"""Operation of the limited process: what is wrong with JavaScript, before anybody calls it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import quickjs  # type: ignore[import-untyped]

from promptship.evals.scripts.failing import Failed
from promptship.evals.scripts.javascript_files import Files
from promptship.evals.scripts.javascript_modules import tokens
from promptship.evals.scripts.javascript_runner import (
    GRACE_S,
    RUNS_MAX,
    Realm,
    body_of,
    failed,
    files_of,
    line_of,
)
from promptship.evals.scripts.limits import alarm

BUILTIN: Final = frozenset({"path", "path/posix", "fs", "fs/promises", "url", "module"})
"""Of Node's modules, those that `prelude.js` has something of."""
_ABSENT: Final = {
    "fetch": "scripts have no network", "XMLHttpRequest": "scripts have no network", "WebSocket": "scripts have no network",
    "Buffer": "that is Node's", "crypto": "that is Node's", "AbortController": "that is Node's",
}  # fmt: skip
_BRINGS: Final = frozenset({"require", "from", "import", "__require"})
_DECLARES: Final = frozenset({"const", "let", "var", "function", "class", "import", ",", "{"})
_LITERAL: Final = re.compile(r"""(['"])([^'"\n]+)\1""")


def check(head: dict[str, Any], body: bytes) -> bytes:
    """`{"what", "wrong", "line"}`, or null. A file is loaded, so what stands at its top level runs."""
    del body
    alarm(head["limit"] + GRACE_S)
    return json.dumps(_fault(head)).encode()


def _fault(head: dict[str, Any]) -> dict[str, Any] | None:
    if not head.get("file"):
        head["body"] = body_of(head["code"])
    files = files_of(head)
    try:
        said, realm = _loaded(head, files)
    except quickjs.JSException as error:
        return _found(str(error).partition("\n")[0], wrong=False)
    except Failed as error:
        return _found(str(error), wrong=False)
    if said[0] == "e":
        raised = json.loads(said[2:])
        if raised["name"] == "SyntaxError":
            return _syntax(raised, head, files, realm)
        why = failed(raised, head, files)
        wrong = raised["name"] == "NoFunction"
        return _found(": ".join(filter(None, (why.reason, why.detail))), wrong=wrong, line=0)
    needs = sorted({need for code in _sources(head, files) for need in needed(code)})
    return _found(f"needs {', '.join(needs)}", wrong=False) if needs else None


def _loaded(head: dict[str, Any], files: Files) -> tuple[str, Realm]:
    for _ in range(RUNS_MAX):
        realm = Realm(head, files)
        said = realm.load(head)
        if said[0] != "m":
            return said, realm
        files.read(json.loads(said[2:]))
    raise Failed("the script reads too many files")


def _syntax(error: Mapping[str, Any], head: Mapping[str, Any], files: Files, realm: Realm) -> dict[str, Any]:
    """Which file it is in: the engine names none."""
    if not head.get("file"):
        return _found(f"no JavaScript: {error['message']}", wrong=True, line=line_of(error["stack"]))
    for path, entry in files.entries.items():
        if entry is None or entry.get("kind") not in {"cjs", "esm"}:
            continue
        wrong = realm.syntax_error(entry["code"])
        if wrong is not None:
            where = f"{path}: " if path != (head.get("path") or "") else ""
            return _found(
                f"{where}no JavaScript: {wrong['message']}", wrong=True, line=line_of(wrong["stack"])
            )
    return _found(f"no JavaScript: {error['message']}", wrong=True)


def _sources(head: Mapping[str, Any], files: Files) -> Iterator[str]:
    if not head.get("file"):
        yield head["code"]
    for entry in files.entries.values():
        if entry is not None and entry.get("kind") in {"cjs", "esm"}:
            yield entry["raw"]


def needed(source: str) -> Iterator[str]:
    """Modules and globals that a source uses and that are not here."""
    last = ["", ""]
    declared: set[str] = set()
    used: set[str] = set()
    for position, sign, _ in tokens(source, 0):
        if sign in {"'", '"'} and (last[1] in _BRINGS or (last[1] == "(" and last[0] in _BRINGS)):
            found = _LITERAL.match(source, position)
            name = found[2].removeprefix("node:") if found else "."
            if not name.startswith((".", "/")) and name not in BUILTIN:
                yield f"Node's module {name}"
        elif sign in _ABSENT and last[1] != ".":
            (declared if last[1] in _DECLARES else used).add(sign)
        last = [last[1], sign]
    yield from (f"{name} ({_ABSENT[name]})" for name in used - declared)


def _found(what: str, *, wrong: bool, line: int = 0) -> dict[str, Any]:
    return {"what": what, "wrong": wrong, "line": line}
