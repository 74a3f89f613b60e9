"""What every deterministic assertion says, in both polarities and dialects. `make golden` rewrites the table; read the diff."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from promptship.evals.assertions.attacked import REDTEAM
from promptship.evals.assertions.base import Dialect
from promptship.evals.assertions.catalogue import KINDS
from promptship.evals.assertions.judged import JUDGED
from promptship.evals.assertions.script import SCRIPTS
from tests.support.assertion_table import cases, result

GOLDEN = Path(__file__).with_name("assertions.txt")
HEADER = """\
# Every case of assertion_cases.yaml: what it says, and what it says with `not-`. Made by test_assertions_golden.py.
#
# The dialect of promptfoo was compared with promptfoo 0.123.1, run on the same cases: pass, fail and score are equal but where
# a line says "differs". All of these are deliberate:
# - What a provider does not report (cost, latency of a cached answer, finish reason, log-probabilities, guardrails, skills, a
#   trace) and a webhook that is down are Unscored. promptfoo stops the row with an error, fails, or (guardrails) passes.
# - is-refusal has phrases of its own. In promptfoo's dialect all that promptfoo finds, and more.
# - is-sql is read by sqlglot, not by node-sql-parser: statements beside SELECT, INSERT, UPDATE, DELETE may be judged otherwise.
# - is-html does not build a whole document: broken nesting around <html>, <head> and <body> may be judged otherwise.
# - Unknown keywords and formats of a JSON Schema are passed over; promptfoo's validator refuses them.
# - meteor matches words and stems, not synonyms; promptfoo 0.123.1 stops with an error (it cannot load its stemmer), so this one
#   was compared with nltk 3.10.4 without WordNet. BLEU, GLEU, ROUGE-1 and the stemmer agree with nltk and rouge-score too.
# - A wrong value is an error when the assertion is built, before the model is asked, where promptfoo stops the row with it.
"""


async def line(case: dict[str, Any]) -> list[str]:
    told = {key: value for key, value in case.items() if key not in {"type", "differs", "answer", "config"}}
    shown = " ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in told.items())
    if "answer" in case:
        answer = json.dumps(case["answer"], ensure_ascii=False)
        shown += f" answer={answer if len(answer) <= 60 else 'as above'}"
    both = {
        dialect: [await result(case, dialect, negated=negated) for negated in (False, True)]
        for dialect in Dialect
    }
    native, promptfoo = both[Dialect.NATIVE], both[Dialect.PROMPTFOO]
    lines = [f"  {native[0]:<11} not {native[1]:<11} {shown.strip()}"]
    if promptfoo != native:
        lines.append(f"  promptfoo: {promptfoo[0]}, not {promptfoo[1]}")
    if "differs" in case:
        lines.append(f"  differs: {case['differs']}")
    return lines


async def table() -> str:
    lines = [HEADER]
    last = ""
    for case in cases():
        if case["type"] != last:
            last = case["type"]
            lines.append(last)
        lines += await line(case)
    return "\n".join([*lines, ""])


async def test_assertions_say_what_is_kept() -> None:
    made = await table()
    if os.environ.get("PROMPTSHIP_UPDATE_GOLDEN"):
        GOLDEN.write_text(made, encoding="utf-8")
    assert GOLDEN.read_text(encoding="utf-8") == made


async def test_every_deterministic_type_is_in_the_table_passing_and_failing() -> None:
    said: dict[str, set[str]] = {}
    for case in cases():
        for negated in (False, True):
            said.setdefault(case["type"], set()).add(
                (await result(case, Dialect.NATIVE, negated=negated)).split()[0]
            )
    assert set(said) == set(KINDS) - set(JUDGED) - set(SCRIPTS) - set(REDTEAM)
    assert {name for name, results in said.items() if not {"pass", "fail"} <= results} == set()
