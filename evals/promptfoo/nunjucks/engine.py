"""The renderer: filters, globals, cache of compiled templates, and filters that must be awaited."""

from __future__ import annotations

import copy
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from promptship.evals.promptfoo.nunjucks import nodes
from promptship.evals.promptfoo.nunjucks.compiling import compiled
from promptship.evals.promptfoo.nunjucks.filters import FILTERS, GLOBALS
from promptship.evals.promptfoo.nunjucks.joining import Template, whole
from promptship.evals.promptfoo.nunjucks.names import Use, refers_to, use_of
from promptship.evals.promptfoo.nunjucks.parser import parse
from promptship.evals.promptfoo.nunjucks.running import Run
from promptship.evals.promptfoo.nunjucks.values import TemplateError

AsyncFilter = Callable[..., Awaitable[Any]]
_MARKUP: Final = re.compile(r"\{[{%#]|#\}")
_FILE_BYTES_MAX: Final = 1_000_000
_AWAITED_MAX: Final = 1_000
"""Awaited calls of filters in one text."""

_compiled = lru_cache(maxsize=4096)(compiled)


class _Wanted(BaseException):
    """A filter that must be awaited was reached; no template can catch it."""

    def __init__(self, name: str, arguments: tuple[Any, ...]) -> None:
        super().__init__(name)
        self.name = name
        self.arguments = arguments


class Nunjucks:
    """Renders templates. `filters` come on top of the built-in ones; `env` is the global of that name.

    `awaited` are filters whose values take time, such as scripts: texts that use them need `render_async`.
    Switched off, texts stay as they are. `files`: directory of the templates that others bring in; None: there are none.
    """

    def __init__(
        self,
        *,
        filters: Mapping[str, Callable[..., Any]] | None = None,
        env: Mapping[str, str] | None = None,
        awaited: Mapping[str, AsyncFilter] | None = None,
        enabled: bool = True,
        files: Path | None = None,
    ) -> None:
        self._own = dict(filters or {})
        self._filters = {**FILTERS, **self._own}
        self._awaited = dict(awaited or {})
        self._globals = {**GLOBALS, "env": dict(env or {})}
        self._enabled = enabled
        self._files = None if files is None else files.resolve()

    def plain(self) -> Nunjucks:
        """The same without own filters."""
        if not self._own and not self._awaited:
            return self
        return Nunjucks(env=self._globals["env"], enabled=self._enabled, files=self._files)

    def render(self, text: str, variables: Mapping[str, Any]) -> str:
        """The text with its tags filled in.

        Raises:
            TemplateError: the template is wrong, cannot work with these variables, or asks for too much.
        """
        if not self._enabled or _MARKUP.search(text) is None:
            return text
        return self._rendered(_compiled(text), variables, self._with(self._refused))

    async def render_async(self, text: str, variables: Mapping[str, Any]) -> str:
        """The same; also awaits filters: each call stops the rendering, which begins anew once its value is known."""
        if not self._awaited or not self._enabled or _MARKUP.search(text) is None:
            return self.render(text, variables)
        template = _compiled(text)
        known: list[Any] = []
        while len(known) <= _AWAITED_MAX:
            try:
                return self._rendered(template, variables, self._with(self._replayed(iter(list(known)))))
            except _Wanted as wanted:
                known.append(await self._awaited[wanted.name](*wanted.arguments))
        raise TemplateError(f"calls filters more than {_AWAITED_MAX:,} times")

    def mentions(self, text: str, name: str) -> bool:
        """Whether a template uses a variable; one that cannot be parsed does as soon as it contains the name."""
        if not name or name not in text:
            return False
        try:
            return refers_to(_tree(text), name)
        except TemplateError:
            return True

    @staticmethod
    def use_of(text: str, name: str) -> Use | None:
        """How a template uses the members of an object; None: not at all. Raises TemplateError."""
        return use_of(_tree(text), name)

    def _rendered(
        self, template: Template, variables: Mapping[str, Any], filters: Mapping[str, Callable[..., Any]]
    ) -> str:
        own = copy.deepcopy(dict(variables)) if template.mutates else dict(variables)
        run = Run(own, self._globals, filters, self._load)
        try:
            whole(template, run)
        except RecursionError:
            raise TemplateError("calls itself without end") from None
        return "".join(run.out)

    def _load(self, name: str) -> Template | None:
        """The template in a file of the directory. Raises TemplateError: it is none."""
        if self._files is None:
            return None
        path = (self._files / name).resolve()
        if not path.is_relative_to(self._files) or not path.is_file():
            return None
        if path.stat().st_size > _FILE_BYTES_MAX:
            raise TemplateError(f"the template {name} has more than {_FILE_BYTES_MAX:,} bytes")
        try:
            return _compiled(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise TemplateError(f"the template {name} cannot be read: {error}") from None
        except TemplateError as error:
            raise TemplateError(f"in {name}: {error}") from None

    def _with(self, awaited: Callable[[str], Callable[..., Any]]) -> Mapping[str, Callable[..., Any]]:
        if not self._awaited:
            return self._filters
        return {**self._filters, **{name: awaited(name) for name in self._awaited}}

    @staticmethod
    def _refused(name: str) -> Callable[..., Any]:
        def refused(*_: Any) -> Any:
            raise TemplateError(f"filter {name} is a script, which cannot be used here")

        return refused

    @staticmethod
    def _replayed(known: Any) -> Callable[[str], Callable[..., Any]]:
        def named(name: str) -> Callable[..., Any]:
            def replay(*arguments: Any) -> Any:
                for value in known:
                    return value
                raise _Wanted(name, arguments)

            return replay

        return named


@lru_cache(maxsize=1024)
def _tree(text: str) -> nodes.Body:
    return parse(text)
