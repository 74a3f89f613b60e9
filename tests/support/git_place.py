"""A prompt repository in Git on disk, as processes of the product find it."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from promptship.adapters.memory.orchestrator import MemoryOrchestrator
from promptship.lifecycle.adopting import adopt
from promptship.lifecycle.app import App
from promptship.settings_file import load_settings
from promptship.wiring import build

PROMPT = "name: greet\nowner: a@b.example\nmodel: sim-1\nmessages:\n  - role: user\n    content: {text}\n"


def git_place(place: Path, files: Mapping[str, str], texts: Sequence[str]) -> tuple[Path, App]:
    """A repository with one commit per text of the prompt `greet`, the last but one adopted; its promptship.toml and its app."""

    def git(*words: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@t.example", *words], cwd=place, check=True
        )

    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(content)
    (place / "prompts").mkdir()
    git("init", "--quiet", "--initial-branch=main")
    for text in texts:
        (place / "prompts/greet.yaml").write_text(PROMPT.format(text=text))
        git("add", ".")
        git("commit", "--quiet", "-m", text)
    real = build(load_settings(place / "promptship.toml"))
    fields = {name: getattr(real, name) for name in App.__slots__}
    app = App(**{**fields, "orchestrator": MemoryOrchestrator()})
    adopt(app, [], ref="HEAD~1", actor="person:test")
    return place / "promptship.toml", app
