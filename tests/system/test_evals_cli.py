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
    assert same.stdout.splitlines()[1].startswith("GOES ON")
    (repository / "prompts" / "greet.yaml").write_text(PROMPT % "quiet")
    worse = promptship(repository, "prompts/greet.yaml", "--format", "json", "--trials", "2")
    assert worse.returncode == 1
    (verdict,) = json.loads(worse.stdout)["verdicts"]
    assert (verdict["outcome"], verdict["counts"]) == ("regressed", {"regressed": 8})
    assert verdict["candidate"]["tokens_in"] == 8 * 2 * 9
    assert len(json.loads(worse.stdout)["results"]) == 8 * 2 * 2
    alone = promptship(repository, "greet", "--against", "none", "--format", "md")
    assert alone.returncode == 3  # half of it fails, and there is nothing to judge that by
    assert "**No verdict**: nothing to compare with" in alone.stdout
    assert "no stable version" in alone.stdout


def test_wrong_input_is_one_clear_line(repository: Path) -> None:
    for arguments, said in (
        (["gret"], "no prompt 'gret'"),
        (["greet", "--suite", "gret"], "did you mean greet?"),
        (["greet", "--against", "nowhere"], "no branch, tag or commit nowhere"),
        ([], "PROMPT is missing"),
        (["-c", "pf.yaml", "--against", "main"], "--against is given; has no meaning for this kind of run"),
        (
            ["greet", "-m", "a", "-m", "b", "--against", "main"],
            "--against is main; has no meaning with several",
        ),
    ):
        wrong = promptship(repository, *arguments)
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert said in wrong.stderr
        assert "Traceback" not in wrong.stderr


@pytest.mark.parametrize(("repository", "code"), [(401, 3), (400, 2)], indirect=["repository"])
def test_a_provider_that_refuses_ends_the_run_once_and_with_a_report(repository: Path, code: int) -> None:
    refused = promptship(repository, "greet", "-o", "report.json")
    assert refused.returncode == code
    assert refused.stdout.splitlines()[1].startswith("NO VERDICT")
    assert refused.stderr.count("error:") == 1
    assert "go on with --resume 2" in refused.stderr
    assert "Traceback" not in refused.stderr
    (verdict,) = json.loads((repository / "report.json").read_text())["verdicts"]
    assert (verdict["outcome"], verdict["candidate"]["pass_rate"]) == ("unscored", None)


GONE = """
[providers.gone]
base_url = "http://127.0.0.1:1/v1"
[models.lost]
provider = "gone"
"""


def configured(repository: Path, text: str) -> None:
    settings = repository / "promptship.toml"
    settings.write_text(settings.read_text() + text)


def test_a_matrix_with_a_dead_model_shows_the_others_and_says_who_is_dead(repository: Path) -> None:
    configured(repository, GONE)
    found = promptship(repository, "greet", "-m", "m", "-m", "lost", "--trials", "1", "--format", "json")
    assert found.returncode == 3
    arms = {arm["arm"]: arm for arm in json.loads(found.stdout)["summary"]["arms"]}
    assert arms["greet@m"]["rate"]["value"] == 1.0
    assert arms["greet@lost"]["rate"]["value"] is None, "not measured, and not 0 %"
    assert arms["greet@lost"]["counted"]["unscored"] == 8
    rows = [row for row in json.loads(found.stdout)["results"] if row["arm"] == "greet@lost"]
    assert all("provider gone" in row["error"] for row in rows)
    (error,) = [line for line in found.stderr.splitlines() if line.startswith("error: ")]
    assert "provider gone" in error


@pytest.mark.parametrize(("repository", "code"), [(401, 3), (200, 0)], indirect=["repository"])
def test_a_promptfoo_run_ends_with_the_same_status(repository: Path, code: int) -> None:
    address = (repository / "promptship.toml").read_text().split('"')[1]
    (repository / "pf.yaml").write_text(
        f"""
prompts: [["loud", "Hello {{{{name}}}}"]]
providers: [{{id: "openai:chat:m", config: {{apiBaseUrl: "{address}", apiKey: x}}}}]
tests: [{{vars: {{name: a}}, assert: [{{type: contains, value: a}}]}}]
""".replace('[["loud", "Hello {{name}}"]]', "[file://chat.json]")
    )
    chat = [{"role": "system", "content": "loud"}, {"role": "user", "content": "{{name}}"}]
    (repository / "chat.json").write_text(json.dumps(chat))
    found = promptship(repository, "-c", "pf.yaml")
    assert found.returncode == code
    assert found.stdout.splitlines()[1].startswith("NO VERDICT" if code else "PASSED")
    assert found.stderr.count("error: ") == (1 if code else 0)


def test_a_limit_that_could_not_be_kept_is_refused(repository: Path) -> None:
    refused = promptship(repository, "greet", "--spend-max", "5")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert 'models."m".price_in is missing' in refused.stderr
    assert "--allow-unpriced" in refused.stderr
    assert "run 2" not in refused.stderr
    assert promptship(repository, "greet", "--spend-max", "5", "--dry-run").returncode == 0
    assert promptship(repository, "greet", "--spend-max", "5", "--allow-unpriced").returncode == 0
    configured(repository, "[models.m]\nprice_in = 1\nprice_out = 1\n")
    assert promptship(repository, "greet", "--spend-max", "5").returncode == 0


def test_a_run_goes_on_only_where_its_answers_came_from(repository: Path) -> None:
    assert promptship(repository, "greet").returncode == 0
    again = promptship(repository, "greet", "--resume", "last")
    assert again.returncode == 0
    settings = repository / "promptship.toml"
    settings.write_text(settings.read_text().replace("/v1", "/v2"))
    moved = promptship(repository, "greet", "--resume", "last")
    assert (moved.returncode, moved.stdout) == (2, "")
    assert "about other inputs" in moved.stderr


def test_what_the_gate_of_a_release_refuses_is_not_asked(repository: Path) -> None:
    suite = repository / "suites" / "greet.yaml"
    suite.write_text(SUITE + "  - {id: twice, vars: {name: name0}}\n")
    refused = promptship(repository, "greet")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "suites/greet.yaml: twice: ask and demand exactly what an earlier case does" in refused.stderr
    suite.write_text(SUITE + "  - {id: call, vars: {name: call +49 30 901820}}\n")
    warned = promptship(repository, "greet")
    assert warned.returncode == 0
    assert "warning: suites/greet.yaml: call: hold personal data" in warned.stderr


def test_trials_of_the_command_line_replace_those_of_the_suite(repository: Path) -> None:
    suite = repository / "suites" / "greet.yaml"
    suite.write_text(SUITE.replace("defaults: {", "defaults: {trials: 5, "))
    for options, trials in (([], 5 * 8 * 2), (["--trials", "1"], 8 * 2)):
        planned = promptship(repository, "greet", "--dry-run", *options)
        assert (planned.returncode, planned.stderr) == (0, "")
        assert planned.stdout.startswith(f"greet: {trials} trials, ")


def priced(repository: Path) -> None:
    """A promptfoo configuration of 8 rows, each of which costs 0.12 USD."""
    address = (repository / "promptship.toml").read_text().split('"')[1]
    (repository / "chat.json").write_text(
        json.dumps([{"role": "system", "content": "loud"}, {"role": "user", "content": "{{name}}"}])
    )
    provider = {"apiBaseUrl": address, "apiKey": "x", "inputCost": 0.01, "outputCost": 0.01}
    tests = [{"vars": {"name": f"n{number}"}} for number in range(8)]
    config = {
        "prompts": ["file://chat.json"],
        "providers": [{"id": "openai:chat:m", "config": provider}],
        "tests": tests,
    }
    (repository / "pf.json").write_text(json.dumps(config))


def answered(repository: Path) -> int:
    rows = json.loads((repository / "out.json").read_text())["results"]["results"]
    assert len(rows) == 8
    return sum(row["success"] for row in rows)


def test_the_limit_of_a_resumed_promptfoo_run_counts_what_it_has_cost_before(repository: Path) -> None:
    priced(repository)
    run = ("-c", "pf.json", "-o", "out.json", "--spend-max")
    assert promptship(repository, *run, "0.3").returncode == 3
    assert answered(repository) == 3
    assert promptship(repository, *run, "0.3", "--resume", "last").returncode == 3
    assert answered(repository) == 3
    assert promptship(repository, *run, "2", "--resume", "last").returncode == 0
    assert answered(repository) == 8


def test_a_report_that_cannot_be_written_is_said_before_anything_is_paid(repository: Path) -> None:
    priced(repository)
    (repository / "made.json").mkdir()
    for wanted in ("pf.json/out.json", "made.json"):
        for about in (("greet",), ("-c", "pf.json")):
            refused = promptship(repository, *about, "-o", wanted)
            assert (refused.returncode, refused.stdout) == (2, "")
            assert wanted in refused.stderr
            assert "run 2" not in refused.stderr
    assert promptship(repository, "-c", "pf.json", "-o", "new/place/out.json").returncode == 0
    assert (repository / "new" / "place" / "out.json").is_file()
