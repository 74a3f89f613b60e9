"""How one small report with text that bites looks in every format. `make golden` rewrites the files; read the diff."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from promptship.evals.reports.formats import Format
from promptship.evals.reports.model import Report
from promptship.evals.reports.write import write_to
from tests.support.judged_reports import calibration, judged_report
from tests.support.reports import matrix_report, small_report

HERE = Path(__file__).parent
ENDINGS = {
    Format.TEXT: "txt", Format.MARKDOWN: "md", Format.JSON: "json", Format.JSONL: "jsonl", Format.CSV: "csv",
    Format.JUNIT: "xml", Format.HTML: "html",
}  # fmt: skip
REPORTS: dict[str, Callable[[], Report]] = {
    "small": small_report,
    "matrix": matrix_report,
    "judged": lambda: judged_report([calibration()]),
}


def written(name: str, wanted: Format) -> str:
    out = io.StringIO()
    write_to(REPORTS[name](), wanted, out)
    if wanted is not Format.HTML:
        return out.getvalue()
    # Our own style, script, their hashes and the version are not what this test is about.
    plain = re.sub(r"(<style>|<script>).*?(</style>|</script>)", r"\1...\2", out.getvalue(), flags=re.DOTALL)
    return re.sub(r"promptship \d[^:]*?\. This", "promptship. This", re.sub(r"sha256-[\w+/=]+", "sha256-...", plain))  # fmt: skip


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        *(("small", one) for one in Format),
        *((name, one) for name in ("matrix", "judged") for one in (Format.TEXT, Format.MARKDOWN)),
    ],
)
def test_reports_look_as_kept(name: str, wanted: Format) -> None:
    path = HERE / f"{name}.{ENDINGS[wanted]}"
    got = written(name, wanted).encode("utf-8", "replace")
    if os.environ.get("PROMPTSHIP_UPDATE_GOLDEN"):
        path.write_bytes(got)
    assert path.read_bytes() == got
