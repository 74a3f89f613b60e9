"""The report as one HTML page that needs nothing besides itself.

Safe by construction, whatever a model answered: the summary goes through Jinja's autoescape; rows stand as JSON in script
elements of a type that no browser runs, with `<`, `>`, `&` and the line separators escaped; and the page's own script, which
alone may run (its hash is in the content security policy), puts them into text nodes only.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from promptship.evals.reports.ordered import Ordered, json_text
from promptship.evals.reports.page import page_view
from promptship.evals.reports.rows_data import Blocks

_TEMPLATES: Final = Path(__file__).parent / "templates"
_ESCAPES: Final = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


def html_chunks(ordered: Ordered) -> Iterator[str]:
    """The page: what is to be known at first sight, then all rows as data, then the script that shows them."""
    style, script = _file("report.css"), _file("report.js")
    yield _template().render(
        style=Markup(style),  # noqa: S704 - our own file
        style_hash=_hash(style),
        script_hash=_hash(script),
        version=f" {version('promptship')}",
        **page_view(ordered.report, ordered.summary),
    )
    blocks = Blocks(ordered)
    for number, block in enumerate(blocks):
        yield f'\n<script type="application/json" data-block="{number}">{script_safe(block)}</script>'
    yield f'\n<script type="application/json" id="index">{script_safe(blocks.index())}</script>'
    yield f"\n<script>{script}</script>\n</body>\n</html>\n"


def script_safe(data: Any) -> str:
    """JSON that cannot end the script element it stands in, nor begin another or a comment."""
    return json_text(data).translate(_ESCAPES)


@cache
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )  # fmt: skip
    plots = environment.get_template("plot.html").module
    environment.globals["plot"] = plots.plot  # type: ignore[attr-defined] # a macro
    return environment.get_template("report.html")


@cache
def _file(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a content security policy names an inline element."""
    return b64encode(sha256(text.encode()).digest()).decode()
