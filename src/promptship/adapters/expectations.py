"""Great Expectations, set up once per process: quiet, without a project directory. Its import takes seconds."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any


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
    # Great Expectations takes None for "the suite's own format" here.
    return batch.validate(
        gx.ExpectationSuite(name, expectations=rules), result_format="COMPLETE" if complete else "SUMMARY"
    )
