"""Expressions of `http` providers: paths such as `json.a[0].b` are walked here, everything else is JavaScript."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from promptship.evals.promptfoo.calling import is_script, script_of
from promptship.evals.services import Language, Script, Scripts

_PATH: Final = re.compile(r"[A-Za-z_$][\w$]*(?:\??\.[A-Za-z_$][\w$]*|\[(?:\d+|'[^'\]]*'|\"[^\"\]]*\")\])*")
_STEP: Final = re.compile(r"(\??)\.([A-Za-z_$][\w$]*)|\[(\d+)\]|\[['\"]([^\]]*)['\"]\]")
_FUNCTION: Final = re.compile(r"\s*(?:async\s+)?(?:function\b|\(?[\w$\s,{}=]*\)?\s*=>)")
_CALLED: Final = "const given = ({code});\nreturn typeof given === 'function' ? given({arguments}) : given;"


class Missing(ValueError):
    """A path leads through something that is not there."""


async def evaluate(
    code: str, names: Mapping[str, Any], scripts: Scripts, *, base: Path, arguments: tuple[str, ...]
) -> Any:
    """The value of an expression in which `names` are bound; a function is called with those of them that `arguments` lists.

    `code` is a path, JavaScript, or `file://` with a function.

    Raises:
        Missing: a path's step is asked of nothing.
        ScriptFailed: the script gave no value.
        ConfigError: there is no such file.
    """
    text = code.strip()
    if text.startswith("file://") and is_script(text):
        made = script_of(text, base, tuple(names[name] for name in arguments), python="get_transform")
        return await scripts.run(made)
    if _PATH.fullmatch(text) and _root(text) in names:
        return walk(text, names)
    source = text.rstrip(";")
    whole = _CALLED.replace("{code}", source).replace("{arguments}", ", ".join(arguments))
    return await scripts.run(Script(language=Language.JAVASCRIPT, code=whole, names=names, root=base))


def _root(path: str) -> str:
    return re.split(r"[.?\[]", path, maxsplit=1)[0]


def walk(path: str, names: Mapping[str, Any]) -> Any:
    """What a path leads to; None: nothing is there. Raises Missing: a step is asked of nothing."""
    root = _root(path)
    value = names[root]
    for optional, name, index, key in _STEP.findall(path[len(root) :]):
        if value is None:
            if optional:
                return None
            raise Missing(f"there is nothing to take {name or index or key} from")
        value = _step(value, index or name or key)
    return value


def _step(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(key)
    if isinstance(value, list | str):
        if key == "length":
            return len(value)
        return value[int(key)] if key.isdigit() and int(key) < len(value) else None
    return None
