"""What the client library loads into an application: nothing when it is imported, little when it works."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from promptship.client.bundle import make_bundle
from tests.support.gateway import table

pytestmark = pytest.mark.system

SCRIPT = """
import json, sys
before = set(sys.modules)
import promptship.client
imported = set(sys.modules) - before
with promptship.client.Client("http://127.0.0.1:9", bundle=sys.argv[1], cache=None, wait_s=0.1) as prompts:
    prompts.get("support").render({"question": "why?"}, unit="u").body()
loaded = set(sys.modules) - before
tops = lambda modules: sorted({name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names))
print(json.dumps([tops(imported), tops(loaded)]))
"""
NEVER = {
    "aiohttp", "alembic", "duckdb", "fastapi", "fsspec", "great_expectations", "msgspec", "numpy", "openpyxl", "prefect",
    "quickjs", "rapidfuzz", "scipy", "slack_sdk", "sqlalchemy", "sqlglot", "starlette", "typer", "uvicorn", "uvloop",
}  # fmt: skip


def test_an_application_loads_only_what_the_client_needs(tmp_path: Path) -> None:
    bundle = tmp_path / "prompts.json"
    bundle.write_bytes(make_bundle(table(), at_ms=1))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(bundle)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    imported, loaded = json.loads(done.stdout)
    assert imported == ["promptship"]
    assert {"httpx", "orjson", "pydantic", "jinja2"} <= set(loaded)
    assert NEVER.isdisjoint(loaded)
