"""`promptship docs`: everything in docs/ and ARCHITECTURE.md that is generated from code."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

_BEGIN, _END = "<!-- lifecycle: begin -->", "<!-- lifecycle: end -->"


def docs(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 when something is out of date.")
    ] = False,
    root: Annotated[Path, typer.Option(help="Top of the promptship repository.")] = Path(),
) -> None:
    """Regenerate docs/cli.md, docs/schemas/ and the state diagram of ARCHITECTURE.md (for developers of promptship)."""
    stale = []
    for path, text in _generated(root):
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for path in stale:
        print(f"{'out of date' if check else 'wrote'}: {path}", file=sys.stderr)
    if check and stale:
        print("run `make docs`", file=sys.stderr)
        raise typer.Exit(1)


def _generated(root: Path) -> Iterator[tuple[Path, str]]:
    from promptship.evals.suite import suite_schema
    from promptship.prompts.schema import prompt_schema
    from promptship.settings_file import plan_schema, settings_schema

    yield root / "docs" / "cli.md", cli_reference()
    schemas: dict[str, dict[str, Any]] = {
        "promptship.toml": settings_schema(),
        "plan": plan_schema(),
        "prompt": prompt_schema(),
        "suite": suite_schema(),
    }
    for name, schema in schemas.items():
        yield root / "docs" / "schemas" / f"{name}.schema.json", json.dumps(schema, indent=2) + "\n"
    architecture = root / "ARCHITECTURE.md"
    before, _, rest = architecture.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    yield architecture, f"{before}{_BEGIN}\n```mermaid\n{lifecycle_diagram()}\n```\n{_END}{after}"


def lifecycle_diagram() -> str:
    """The table of phases as a Mermaid state diagram."""
    from promptship.release.phase import NEXT, Phase

    lines = ["stateDiagram-v2", f"    [*] --> {Phase.REQUESTED}"]
    for phase in Phase:
        lines += [f"    {phase} --> {to}" for to in Phase if to in NEXT[phase]]
        if not NEXT[phase]:
            lines.append(f"    {phase} --> [*]")
    return "\n".join(lines)


def cli_reference() -> str:
    """Every command with its help text."""
    from typer.main import get_command

    from promptship.cli import app

    lines = ["# Commands", "", "Generated from `--help` by `make docs`.", ""]
    lines += _describe(get_command(app), "promptship")
    return "\n".join(lines).rstrip() + "\n"


def _describe(command: Any, name: str) -> list[str]:
    if command.hidden:
        return []
    context = command.make_context(name, [], resilient_parsing=True)
    context.terminal_width = context.max_content_width = 100
    lines = [f"## {name}", "", "```", command.get_help(context).rstrip(), "```", ""]
    for child, sub in sorted(getattr(command, "commands", {}).items()):
        lines += _describe(sub, f"{name} {child}")
    return lines
