"""What tests of the evaluation engine share: a tree in memory, a prompt, a suite from text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import dedent

from promptship.errors import NotFound
from promptship.evals.cases import Suite
from promptship.evals.suite import load_suite
from promptship.prompts.model import Message, Prompt, Variable


class MemoryTree:
    """`ports.Tree` over a dict."""

    name = "memory"

    def __init__(self, files: Mapping[str, str | bytes]) -> None:
        self._files = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}

    def read(self, path: str) -> bytes:
        if path not in self._files:
            raise NotFound(f"no file {path}")
        return self._files[path]

    def files(self) -> Sequence[str]:
        return sorted(self._files)


def suite_of(text: str, **files: str) -> Suite:
    """A suite from its YAML; other files of its directory by keyword (`checks_py` is checks.py)."""
    others = {f"suites/{name.replace('_', '.')}": dedent(content) for name, content in files.items()}
    return load_suite(MemoryTree({"suites/s.yaml": dedent(text), **others}), "suites", "s")


def prompt_of(text: str = "Answer: {{ question }}", **variables: Variable) -> Prompt:
    return Prompt(
        name="p",
        model="m",
        messages=(Message(role="user", content=text),),
        variables=variables or {"question": Variable()},
    )
