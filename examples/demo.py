"""`make demo`: four releases on this machine, on real processes, without a key or a network.

Everything is the product as a team would run it (`promptship up`, a bare Git repository with a post-receive hook, pushes), only
the language model is a simulator (`simulator.py`) and the customers are simulated (`traffic.py`).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLACE = Path(os.environ.get("PROMPTSHIP_DEMO", HERE.parent / ".promptship-demo"))
RATE_PER_S = 50
APPROVER = "mira"
WAIT_S_MAX = 150


class Demo:
    """One run: a workspace, the processes in it, and the commands a person would type."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.bare = place / "origin.git"
        self.clone = place / "clone"
        self.config = place / "promptship.toml"
        self.log = place / "traffic.jsonl"
        self.ports: dict[str, int] = {}
        self.running: list[subprocess.Popen[bytes]] = []

    # -- the commands ------------------------------------------------------------------------------------------------

    def ship(self, *words: str, check: bool = True) -> str:
        """Run `promptship ...` and return what it printed."""
        command = [sys.executable, "-m", "promptship.cli", *words]
        done = subprocess.run(
            command, cwd=self.place, capture_output=True, text=True, check=False, timeout=WAIT_S_MAX
        )
        if check and done.returncode != 0:
            raise SystemExit(f"$ promptship {' '.join(words)}\n{done.stdout}{done.stderr}")
        return done.stdout

    def git(self, *words: str) -> str:
        """Run git in the clone; returns what it printed, the hook's `remote:` lines included."""
        done = subprocess.run(
            ["git", *words], cwd=self.clone, capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode != 0:
            raise SystemExit(f"$ git {' '.join(words)}\n{done.stderr}")
        return done.stdout + done.stderr

    # -- setting the scene -------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """A fresh workspace: the example prompts in a bare repository, settings with free ports."""
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(HERE / "support", self.clone)
        self.ports = dict(zip(("4200", "4280", "4281", "4290"), _free_ports(4), strict=True))
        settings = (self.clone / "promptship.toml").read_text(encoding="utf-8")
        for usual, free in self.ports.items():
            settings = settings.replace(usual, str(free))
        self.config.write_text(settings, encoding="utf-8")
        subprocess.run(
            ["git", "init", "--quiet", "--bare", "--initial-branch=main", str(self.bare)], check=True
        )
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.name", "Jonas")
        self.git("config", "user.email", "jonas@acorn.example")
        self.git("remote", "add", "origin", str(self.bare))
        self._commit("Prompts as production serves them")

    def _commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("push", "--quiet", "origin", "main")

    def start(self) -> None:
        """Simulator, `promptship up`, adopted prompts, the Git hook, then customers."""
        self._spawn("simulator", str(HERE / "simulator.py"), "--port", str(self.ports["4290"]))
        up = self._spawn("up", "-m", "promptship.cli", "up")
        _wait_until(
            lambda: "logs " in (self.place / "up.log").read_text(encoding="utf-8"), up, self.place / "up.log"
        )
        self.ship("adopt", "--ref", "main")
        self.ship("hook", "install", str(self.bare))
        gateway = f"http://127.0.0.1:{self.ports['4281']}"
        self._spawn(
            "traffic",
            str(HERE / "traffic.py"),
            "--gateway",
            gateway,
            "--rate",
            str(RATE_PER_S),
            "--log",
            str(self.log),
        )

    def _spawn(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        with (self.place / f"{name}.log").open("wb") as log:
            process = subprocess.Popen([sys.executable, *words], cwd=self.place, stdout=log, stderr=log)
        self.running.append(process)
        return process

    def stop(self) -> None:
        """Stop what was started, customers first."""
        for process in reversed(self.running):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()

    # -- the story ---------------------------------------------------------------------------------------------------

    def push(self, change: str, message: str) -> list[str]:
        """Commit a prepared change, push it, show what the hook answered; returns the releases it opened."""
        shutil.copytree(HERE / "changes" / change, self.clone, dirs_exist_ok=True)
        before = set(self._ids())
        print(f"\n$ git commit -m {message!r} && git push")
        for line in self._commit(message).splitlines():
            if "promptship:" in line:
                print(line.strip())
        return [release for release in self._ids() if release not in before]

    def _ids(self) -> list[str]:
        return [row["id"] for row in self.releases()]

    def releases(self) -> list[dict[str, str]]:
        """`promptship release list --json`."""
        rows: list[dict[str, str]] = json.loads(self.ship("release", "list", "--json"))
        return rows

    def follow(self, release: str) -> None:
        """`promptship release watch`, printed as it comes; answers the approval when it is asked."""
        print(f"\n$ promptship release watch {release}", flush=True)
        command = [
            sys.executable,
            "-m",
            "promptship.cli",
            "release",
            "watch",
            release,
            "--timeout",
            str(WAIT_S_MAX),
        ]
        with subprocess.Popen(command, cwd=self.place, stdout=subprocess.PIPE, text=True) as watching:
            for line in watching.stdout or ():
                print(line, end="", flush=True)
                if "  asked in " in line:
                    self._approve(release)

    def _approve(self, release: str) -> None:
        words = ["approve", release, "--as", APPROVER, "--reason", "fewer escalations, same speed"]
        if sys.stdin.isatty():
            answer = input(f"\nApprove this release as {APPROVER}? [Y/n] ").strip().lower()
            if answer.startswith("n"):
                words = ["reject", release, "--as", APPROVER, "--reason", "declined in the demo"]
        print(f"$ promptship {' '.join(words[:4])} --reason {words[-1]!r}", flush=True)
        print(self.ship(*words), end="", flush=True)

    def seconds_to_stable(self, release: str) -> tuple[float, int, int]:
        """Of a rolled back release: seconds from its first escalated answer to the last one it gave, its answers, its escalations."""
        lines = [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]
        shown = [line for line in lines if line.get("release") == release and line.get("arm") == "candidate"]
        bad = [line["at"] for line in shown if line["escalated"]]
        last = max((line["at"] for line in shown), default=0.0)
        return (last - min(bad) if bad else 0.0), len(shown), len(bad)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _wait_until(condition: object, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + WAIT_S_MAX
    while not condition():  # type: ignore[operator]
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"promptship did not start:\n{log.read_text(encoding='utf-8')}")
        time.sleep(0.2)


def main() -> None:
    """The four releases."""
    began = time.monotonic()
    demo = Demo(PLACE)
    demo.prepare()
    print(
        f"Starting promptship, a provider simulator and {RATE_PER_S} simulated requests per second ...",
        flush=True,
    )
    try:
        demo.start()
        print(f"running after {time.monotonic() - began:.0f} s")
        story(demo)
        closing(demo, began)
    finally:
        demo.stop()


def story(demo: Demo) -> None:
    """A better prompt, a worse one, and two that never see traffic."""
    print("\n== 1. A better prompt: numbered steps ==")
    (better,) = demo.push("1-better", "support: answer in numbered steps")
    demo.follow(better)

    print("\n== 2. A worse one: 'Be concise.' passes its suite, and customers escalate ==")
    (concise,) = demo.push("2-be-concise", "support: be concise")
    demo.follow(concise)

    print("\n== 3. A typo in a variable, and an answer that is not JSON any more ==")
    for release in demo.push("3-broken", "welcome and triage: friendlier"):
        demo.follow(release)

    seconds, shown, escalated = demo.seconds_to_stable(concise)
    print("\n== What customers saw of 'Be concise.' ==")
    print(
        f"{shown} answers, {escalated} escalations, {seconds:.1f} s from the first bad answer to 100 % stable"
    )


def closing(demo: Demo, began: float) -> None:
    """The table, the proof, and where to look next."""
    rolled_back = next((row["id"] for row in demo.releases() if row["phase"] == "rolled_back"), "<release>")
    for words in (["release", "list"], ["history", "support"], ["audit", "verify"]):
        print(f"\n$ promptship {' '.join(words)}")
        print(demo.ship(*words), end="")
    place = os.path.relpath(demo.place)
    print(f"\nDone in {time.monotonic() - began:.0f} s. Everything is kept in {place}; look at it with")
    print(f"  source .venv/bin/activate && cd {place}")
    print(f"  promptship release show {rolled_back}    the evidence of a release")
    print("  promptship up                           start it again, with a page for the browser")


if __name__ == "__main__":
    main()
