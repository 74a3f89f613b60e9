"""Program of a provider's process: loads one file of the user's and calls its functions. Standard library only, any Python 3.8+.

Started by `promptship.evals.promptfoo.providers.hosting` as `python python_host.py <descriptor of replies> <file>`; a line of JSON
on standard input is a call, a line of JSON on the descriptor is its reply. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any, TextIO

PLACES_MAX = 3
"""Of a traceback."""


def load(file: str) -> Any:
    """The user's file as a module; its directory can be imported from."""
    path = Path(file)
    sys.path.insert(0, str(path.parent))
    name = f"provider_{path.stem}" if path.stem in sys.modules else path.stem
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        message = f"{path.name} is no Python file"
        raise ImportError(message)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def find(module: Any, name: str) -> Any:
    """A function, or a method of a class, of the module."""
    found = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is None:
        message = f"the file has no function {name}"
        raise LookupError(message)
    return found


def failed(error: BaseException) -> str:
    """What went wrong, and the last places of the user's own code on the way to it, the innermost first."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    places = [
        f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}: {frame.line or ''}"
        for frame in reversed(frames[-PLACES_MAX:])
    ]
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, SyntaxError) and error.filename:
        what = f"{what} (line {error.lineno} of {Path(error.filename).name})"
        places = []
    return " | ".join([what, *(place for place in places if not place.startswith("<frozen"))])


def serve(replies: TextIO, file: str) -> None:
    """Answer calls until there are no more."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    module: Any = None
    for line in sys.stdin:
        try:
            call = json.loads(line)
            module = module or load(file)
            value = find(module, call["function"])(*call["arguments"])
            if inspect.isawaitable(value):
                value = loop.run_until_complete(value)
            reply = json.dumps({"value": value}, default=str)
        except KeyboardInterrupt:
            return
        except BaseException as error:  # noqa: BLE001 - also SystemExit of a provider
            reply = json.dumps({"error": failed(error)})
        replies.write(reply + "\n")
        replies.flush()


if __name__ == "__main__":
    serve(os.fdopen(int(sys.argv[1]), "w", encoding="utf-8"), sys.argv[2])
