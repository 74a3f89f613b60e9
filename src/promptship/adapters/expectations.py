"""Great Expectations, set up once per process: quiet, without a project directory. Its import takes seconds."""

from __future__ import annotations

import html
import logging
import os
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

_ELSEWHERE: Final = re.compile(
    r"""<script[^>]*\bsrc=.*?</script>|<link\b[^>]*https?://[^>]*>|<img\b[^>]*https?://[^>]*>"""
    r"""|<a\b[^>]*greatexpectations\.io.*?</a>""",
    re.DOTALL,
)
"""Style sheets, scripts and pictures that the page would fetch from other servers."""
_HEAD: Final = """<head>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
  body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color-scheme: light dark }
  table { border-collapse: collapse; margin: .5rem 0 1.5rem } td, th { border: 1px solid #8885; padding: .3rem .6rem; text-align: left }
  .navbar, #ge-cta-footer, #cta-footer, .ge-walkthrough-modal, .modal, .btn, button, footer, .footer { display: none }
  .fa-check-circle::before { content: "holds"; color: green } .fa-times::before { content: "broken"; color: #c00 }
  .fa-exclamation-triangle::before { content: "warning" }
</style>
"""


def expectations() -> Any:
    """Great Expectations' expectations; told not to phone home before it is imported."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations.expectations as gxe

    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    return gxe


@lru_cache(maxsize=1)
def _context() -> Any:
    """One context a process: each would leave a directory for its docs behind."""
    import great_expectations as gx

    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    return context


def validate(
    name: str, columns: Mapping[str, Sequence[Any]], rules: list[Any], *, complete: bool = False
) -> Any:
    """Great Expectations' result of a table under rules. `complete`: with the index of every row that breaks one.

    One-shot validation: a Checkpoint cannot hold the numpy results of all expectations.
    """
    import great_expectations as gx
    import pandas as pd  # type: ignore[import-untyped]

    asset = _context().data_sources.add_or_update_pandas(name).add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe(name).get_batch({"dataframe": pd.DataFrame(columns)})
    result = batch.validate(
        gx.ExpectationSuite(name, expectations=rules), result_format="COMPLETE" if complete else "SUMMARY"
    )
    for one in result.results:
        one.result = _plain(one.result)
    return result


def _plain(value: Any) -> Any:
    """Numbers of numpy as Python's: Great Expectations' pages cannot show the others (it reads `repr`, which numpy 2 has changed)."""
    import numpy as np

    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    return value


def docs_page(title: str, result: Any) -> str:
    """Great Expectations' own page of a validation (Data Docs), as HTML that loads nothing from elsewhere."""
    import great_expectations.render.renderer as renderers
    import great_expectations.render.view as views

    renderer: Any = renderers.ValidationResultsPageRenderer()  # type: ignore[attr-defined]
    view: Any = views.DefaultJinjaPageView()  # type: ignore[attr-defined]
    page = _ELSEWHERE.sub("", str(view.render(renderer.render(result))))
    named = f"<title>{html.escape(title)}</title>"
    return re.sub(
        r"<title>.*?</title>|<head>",
        lambda found: _HEAD + named if found.group() == "<head>" else "",
        page,
        flags=re.DOTALL,
    )
