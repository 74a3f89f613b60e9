"""`promptship docs`: everything in docs/ and ARCHITECTURE.md that is generated from code.

Whole files, and blocks of pages that people write: from `<!-- name: begin -->` to `<!-- name: end -->`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from promptship.errors import ConfigError, Problem


def docs(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 when something is out of date.")
    ] = False,
    root: Annotated[Path, typer.Option(help="Top of the promptship repository.")] = Path(),
) -> None:
    """Regenerate docs/cli.md, docs/schemas/, the state diagram of ARCHITECTURE.md and tables in docs/ (for developers of promptship)."""
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
    from promptship.evals.assertions.catalogue import table
    from promptship.evals.reports.schema import report_schema
    from promptship.evals.suite import suite_schema
    from promptship.prompts.schema import prompt_schema
    from promptship.settings_file import plan_schema, settings_schema

    yield root / "docs" / "cli.md", cli_reference()
    schemas: dict[str, dict[str, Any]] = {
        "promptship.toml": settings_schema(),
        "plan": plan_schema(),
        "prompt": prompt_schema(),
        "suite": suite_schema(),
        "report": report_schema(),
    }
    for name, schema in schemas.items():
        yield root / "docs" / "schemas" / f"{name}.schema.json", json.dumps(schema, indent=2) + "\n"
    diagram = f"```mermaid\n{lifecycle_diagram()}\n```"
    yield _with(root / "ARCHITECTURE.md", "lifecycle", diagram)
    yield _with(root / "docs" / "assertions.md", "assertions", table())
    yield _with(root / "docs" / "redteam.md", "plugins", plugins_table())
    yield _with(root / "docs" / "promptfoo.md", "families", families_table())


def _with(page: Path, name: str, block: str) -> tuple[Path, str]:
    """The page with the generated block of that name in its place."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        expected = f"expected one block from {begin} to {end}"
        raise ConfigError([Problem(str(page), "", f"without the block {name}", expected)])
    return page, f"{before}{begin}\n{block.strip()}\n{end}{after}"


def plugins_table() -> str:
    """Every red-team plugin, with the risks it tests and what grades it."""
    from promptship.evals.redteam.plugins import OWASP, UNTESTED, plugins

    lines = ["| Plugin | Attacks | What happens | Through | Grader | Risks |", "|---|---|---|---|---|---|"]
    for one in plugins().values():
        risks = ", ".join(one.owasp)
        lines.append(
            f"| `{one.name}` | {len(one.attacks)} | {one.title} | {one.carrier} | `{one.grader}` | {risks} |"
        )
    lines += ["", "| Risk | OWASP's name | Plugins |", "|---|---|---|"]
    for risk, title in OWASP.items():
        named = ", ".join(f"`{one.name}`" for one in plugins().values() if risk in one.owasp)
        lines.append(f"| {risk} | {title} | {'not tested' if risk in UNTESTED else named} |")
    return "\n".join(lines)


def families_table() -> str:
    """Every prefix of provider ids that speaks OpenAI's words at another address."""
    from promptship.evals.promptfoo.providers.families import FAMILIES

    lines = ["| Prefix | Key | Address | Other address |", "|---|---|---|---|"]
    for prefix, family in sorted(FAMILIES.items()):
        if prefix == "litellm":  # without an address it is the library
            continue
        keys = " or ".join(f"`{key}`" for key in family.keys) or "none"
        url = f"`{family.url}`" if family.url else "must be given"
        others = " or ".join(f"`{name}`" for name in ("apiBaseUrl", *family.url_envs))
        lines.append(f"| `{prefix}:` | {keys} | {url} | {others} |")
    return "\n".join(lines)


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
