"""Whole promptfoo configurations, run from file to results: every row with its verdict, scores, prompt and output."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from promptship.evals.calls import Calls
from promptship.evals.promptfoo.loading import load
from promptship.evals.promptfoo.providers import Providers
from promptship.evals.promptfoo.run import plan, run_config, write_results
from promptship.evals.scripts.pool import ScriptPool
from promptship.evals.services import Services
from promptship.evals.session import Session

HERE = Path(__file__).parent
CONFIGS = sorted(path.parent.name for path in HERE.glob("*/promptfooconfig.yaml"))
VERDICTS = ("PASS", "FAIL", "ERROR")


@pytest.mark.parametrize("name", CONFIGS)
async def test_a_configuration_runs_as_it_always_did(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(HERE / name)  # templates are looked for where the command is started
    results, notes, status = await ran(HERE / name, tmp_path)
    text = "\n".join([*notes, *rows(results), *columns(results), f"status {status}", ""])
    golden = HERE / name / "expected.txt"
    if os.environ.get("PROMPTSHIP_UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


async def ran(directory: Path, data: Path) -> tuple[dict[str, Any], list[str], int]:
    env = {"PATH": os.environ["PATH"]}
    providers = Providers(env=env)
    try:
        async with ScriptPool(2) as scripts:
            config = await load([], directory=directory, env=env, scripts=scripts)
            planned = await plan(config, scripts=scripts, make=providers.make, env=env)
            facts = {"arms": planned.arms, "cases": planned.case_facts, "trials": planned.rows}
            with Session.create(data, what=directory.name, digest=planned.digest, **facts) as session:  # type: ignore[arg-type]
                services = Services(scripts=scripts)
                ended = await run_config(planned, services, Calls(), session=session)
                assert len(ended.ran.rows) == planned.rows
                out = data / "out.json"
                assert write_results([out, data / "report.html"], planned, session) == (data / "report.html",)
    finally:
        await providers.aclose()
    notes = [f"{note.effect}: {Path(note.where).name}: {note.what}" for note in planned.notes]
    return json.loads(out.read_bytes()), notes, ended.status


def rows(results: dict[str, Any]) -> list[str]:
    found = sorted(results["results"]["results"], key=lambda one: (one["testIdx"], one["promptIdx"]))
    return [line for one in found for line in row(one)]


def row(one: dict[str, Any]) -> list[str]:
    named = " ".join(f"{name}={score:.3g}" for name, score in sorted(one["namedScores"].items()))
    head = f"{one['testIdx']}.{one['promptIdx']} {VERDICTS[one['failureReason']]} {one['score']:.3g} {named}".rstrip()
    output = one["response"].get("output")
    said = f"    {one['prompt']['raw']!r} -> {json.dumps(output) if output is not None else 'nothing'}"
    if one["failureReason"] == 2:
        return [head, said, f"    {one['error'].splitlines()[0]}"]
    marks = "".join(
        ".x"[not part["pass"]] for part in (one["gradingResult"] or {}).get("componentResults", [])
    )
    return [f"{head} [{marks}]", said]


def columns(results: dict[str, Any]) -> list[str]:
    lines = []
    for number, column in enumerate(results["results"]["prompts"]):
        metrics = column["metrics"]
        named = " ".join(f"{name}={value:.3g}" for name, value in sorted(metrics["namedScores"].items()))
        counts = "/".join(str(metrics[f"test{kind}Count"]) for kind in ("Pass", "Fail", "Error"))
        asserts = f"{metrics['assertPassCount']}/{metrics['assertFailCount']}"
        lines.append(
            f"column {number} {column['label']}: rows {counts}, assertions {asserts}, {named}".rstrip(", ")
        )
    stats = results["results"]["stats"]
    assert sum(stats[key] for key in ("successes", "failures", "errors")) == len(
        results["results"]["results"]
    )
    return lines
