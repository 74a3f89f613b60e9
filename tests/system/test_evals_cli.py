"""`promptship eval` on a real repository, against a real server on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

pytestmark = pytest.mark.system

PROMPT = """\
name: greet
model: m
messages:
  - {role: system, content: %s}
  - {role: user, content: "{{ name }}"}
variables: {name: {}}
"""
SUITE = """\
defaults: {assert: [{type: contains, value: "{{ name }}"}]}
cases:
""" + "".join(f"  - {{id: n{n}, vars: {{name: name{n}}}}}\n" for n in range(8))


class Parrot(BaseHTTPRequestHandler):
    """Repeats the user, unless the system message says it should be quiet."""

    status: ClassVar[int] = 200

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        system, user = (message["content"] for message in body["messages"])
        text = "..." if system == "quiet" else f"Hello {user}!"
        answer = {
            "model": "m",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
        }
        content = json.dumps(answer if self.status == 200 else {"error": {"message": "no"}}).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@pytest.fixture(params=[200])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Parrot,), {"status": request.param}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    (tmp_path / "prompts").mkdir()
    (tmp_path / "suites").mkdir()
    (tmp_path / "prompts" / "greet.yaml").write_text(PROMPT % "loud")
    (tmp_path / "suites" / "greet.yaml").write_text(SUITE)
    url = f"http://127.0.0.1:{server.server_port}/v1"
    (tmp_path / "promptship.toml").write_text(f'[providers.local]\nbase_url = "{url}"\n')
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-C", str(tmp_path)]
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *command], check=True)
    yield tmp_path
    server.shutdown()
    server.server_close()
    thread.join()


def promptship(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "promptship.cli", "eval", *arguments]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False, timeout=60)


def test_the_same_prompt_goes_on_and_a_broken_one_stops(repository: Path) -> None:
    same = promptship(repository, "greet")
    assert same.returncode == 0
    assert [line.split(" ")[0] for line in same.stderr.splitlines()] == ["run"]
    assert "GOES ON  suite greet" in same.stdout
    (repository / "prompts" / "greet.yaml").write_text(PROMPT % "quiet")
    worse = promptship(repository, "prompts/greet.yaml", "--format", "json", "--trials", "2")
    assert worse.returncode == 1
    (verdict,) = json.loads(worse.stdout)["verdicts"]
    assert (verdict["outcome"], verdict["counts"]) == ("regressed", {"regressed": 8})
    assert verdict["candidate"]["tokens_in"] == 8 * 2 * 9
    assert len(json.loads(worse.stdout)["results"]) == 8 * 2 * 2
    alone = promptship(repository, "greet", "--against", "none", "--format", "md")
    assert alone.returncode == 0
    assert "no stable version" in alone.stdout


def test_wrong_input_is_one_clear_line(repository: Path) -> None:
    for arguments, said in (
        (["gret"], "no prompt 'gret'"),
        (["greet", "--suite", "gret"], "did you mean greet?"),
        (["greet", "--against", "nowhere"], "no branch, tag or commit nowhere"),
        ([], "PROMPT is missing"),
    ):
        wrong = promptship(repository, *arguments)
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert said in wrong.stderr
        assert "Traceback" not in wrong.stderr


@pytest.mark.parametrize(("repository", "code"), [(401, 3), (400, 2)], indirect=["repository"])
def test_a_provider_that_refuses_ends_the_run_once(repository: Path, code: int) -> None:
    refused = promptship(repository, "greet")
    assert (refused.returncode, refused.stdout) == (code, "")
    assert refused.stderr.count("error:") == 1
    assert "go on with --resume 2" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_trials_of_the_command_line_replace_those_of_the_suite(repository: Path) -> None:
    suite = repository / "suites" / "greet.yaml"
    suite.write_text(SUITE.replace("defaults: {", "defaults: {trials: 5, "))
    for options, trials in (([], 5 * 8 * 2), (["--trials", "1"], 8 * 2)):
        planned = promptship(repository, "greet", "--dry-run", *options)
        assert (planned.returncode, planned.stderr) == (0, "")
        assert planned.stdout.startswith(f"greet: {trials} trials, ")
