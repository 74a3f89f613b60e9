"""The commands of the pages about suites, judges and attacks, run as they are written, one after the other, in a new repository."""

from __future__ import annotations

import json
import random
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from promptship.cli import app
from tests.docs.markdown import ROOT, blocks
from tests.support.repositories import git
from tests.support.standin import Asked, Said, stand_in

pytestmark = pytest.mark.slow

SETTINGS = """\
[repository]
url = "."
[providers.openai]
base_url = "{url}/v1"
[models."gpt-4.1"]
provider = "openai"
price_in = 2.0
price_out = 8.0
[models."gpt-4.1-mini"]
provider = "openai"
price_in = 0.4
price_out = 1.6
[plans.careful.regression]
trials = 2
"""
PROMPT = """\
name: support
model: gpt-4.1
variables:
  question: {untrusted: true, examples: ["Where is my card?"]}
  amount: {type: number, default: 10}
messages:
  - {role: system, content: "You are the support assistant of a bank. Never promise a refund of {{ amount }}."}
  - {role: user, content: "{{ question }}"}
"""
ANSWER = "A refund may be declined because the card was used. You can ask again."
VERDICT = '{"reason": "so", "pass": true, "score": 0.9}'


def answered(asked: Asked) -> Said:
    """A judge's orders ask for one JSON object; everybody else gets an answer."""
    judged = "one JSON object" in json.dumps(asked.json["messages"])
    message = {"role": "assistant", "content": VERDICT if judged else ANSWER}
    return Said(content={
        "model": asked.json["model"], "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
    })  # fmt: skip


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Nothing but a prompt, the suite of suites.md, and labels."""
    suite = next(
        block.text for block in blocks(ROOT / "docs" / "suites.md") if block.file == "suites/support.yaml"
    )
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with stand_in(answered) as service:
        files = {
            "promptship.toml": SETTINGS.format(url=service.url),
            "prompts/support.yaml": PROMPT,
            "suites/support.yaml": suite,
            "labels.csv": labels(),
        }
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text, encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        yield tmp_path


def labels() -> str:
    """Sixty labels with the verdicts of a judge that errs in one of ten: the stand-in passes everything."""
    chance = random.Random(1)
    rows = ["case,input,output,label,judge"]
    for number in range(60):
        good = number % 3 != 0
        judged = good if chance.random() < 0.9 else not good
        rows.append(f"c{number // 2},Why?,answer {number},{int(good)},{'yes' if judged else 'no'}")
    return "\n".join(rows) + "\n"


def lines(page: str) -> list[str]:
    """Every line of the page's shell blocks that calls promptship."""
    text = "\n".join(block.text for block in blocks(ROOT / "docs" / page) if block.language == "sh")
    return re.findall(r"^promptship ([^#\n]+)", text, re.MULTILINE)


@pytest.mark.parametrize("page", ["suites.md", "judges.md", "redteam.md"])
def test_commands_run_as_they_are_written(page: str, repository: Path) -> None:
    git(repository, "init", "--quiet", "--initial-branch=main")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "all")
    found = lines(page)
    assert len(found) > 1
    for line in found:
        words: Any = shlex.split(line)
        ran = CliRunner().invoke(app, words)
        assert ran.exit_code in {0, 1}, f"promptship {line}\n{ran.output}"
        assert ran.exception is None or isinstance(ran.exception, SystemExit), line
        for name in (words[at + 1] for at, word in enumerate(words) if word == "-o"):
            assert (repository / name).stat().st_size > 0, line
