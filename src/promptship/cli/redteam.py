"""`promptship redteam`: attacks as a suite of its own, made offline."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from promptship.cli import context
from promptship.cli.context import CONFIG, Config, Json
from promptship.errors import ConfigError, Problem

app = typer.Typer(
    no_args_is_help=True,
    help="Attack a prompt with texts that need no network; results map to OWASP's LLM Top 10.",
)


@app.command(name="list")
def list_(as_json: Json = False) -> None:
    """Show plugins, strategies, and the risks they test."""
    from promptship.evals.redteam.plugins import OWASP, UNTESTED, plugins
    from promptship.evals.redteam.strategies import STRATEGIES

    if as_json:
        context.print_json(
            {
                "plugins": {
                    one.name: {"title": one.title, "owasp": one.owasp, "attacks": len(one.attacks), "carrier": one.carrier}
                    for one in plugins().values()
                },
                "strategies": ["plain", *STRATEGIES],
                "owasp": OWASP,
                "untested": UNTESTED,
            }
        )  # fmt: skip
        return
    for risk, title in OWASP.items():
        print(f"{risk}  {title}" + ("  (no question to a model can test it)" if risk in UNTESTED else ""))
        for one in plugins().values():
            if risk in one.owasp:
                print(f"    {one.name:26} {len(one.attacks):3} attacks  {one.title}")
    print(f"strategies: plain, {', '.join(STRATEGIES)}; joined by +: leetspeak+base64")


@app.command()
def make(
    prompt: Annotated[str, typer.Argument(help="Name or path of the prompt.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Suite file; default: <suites>/<prompt>-redteam.yaml."),
    ] = None,
    plugin: Annotated[
        list[str] | None, typer.Option("--plugin", help="Name or OWASP id; default: all.")
    ] = None,
    strategy: Annotated[list[str] | None, typer.Option("--strategy", help="Default: plain.")] = None,
    attacks: Annotated[
        int, typer.Option(min=1, max=100, help="Attacks per plugin and strategy at most.")
    ] = 3,
    var: Annotated[str | None, typer.Option("--var", help="Variable through which the user speaks.")] = None,
    value: Annotated[list[str] | None, typer.Option("--set", help="name=value of another variable.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same suite.")] = 0,
    judge: Annotated[str | None, typer.Option(help="Model that decides what words leave open.")] = None,
    attacker: Annotated[str | None, typer.Option(help="Model that makes up conversations.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    config: Config = CONFIG,
) -> None:
    """Write a suite of attacks on a prompt; run it with `promptship eval PROMPT --suite PROMPT-redteam`.

    \b
    Example: promptship redteam make support-reply --plugin LLM01 --strategy plain --strategy jailbreak
    """
    import yaml

    class _Plain(yaml.SafeDumper):
        """Writes everything out: anchors are hard to edit by hand."""

        def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
            return True

    from promptship.adapters.files import WorkingTree
    from promptship.cli.eval_prompts import find
    from promptship.evals.redteam.generate import Choice, gradable, red_team_suite, user_variable
    from promptship.evals.redteam.plugins import chosen
    from promptship.evals.redteam.strategies import composed

    if attacker is not None and judge is None:
        expected = (
            "an attacker's conversations need a judge: words alone cannot tell when its goal is reached"
        )
        raise ConfigError(
            [Problem("promptship redteam make", "--judge", "missing", expected, "add --judge MODEL")]
        )
    settings = context.settings(config)
    target = find(WorkingTree(settings.root), settings, prompt).prompt
    variable = user_variable(target, var)
    plugins, left_out = gradable(chosen(plugin or ()), target, named=plugin or (), judge=judge)
    choice = Choice(
        plugins=plugins, strategies=composed(strategy or ["plain"]), attacks_max=attacks, variable=variable,
        values=_values(value or [], target, variable), seed=seed, judge=judge, attacker=attacker,
    )  # fmt: skip
    suite = red_team_suite(target, choice)
    path = output or settings.root / settings.repository.suites / f"{target.name}-redteam.yaml"
    if path.exists() and not force:
        raise ConfigError(
            [Problem(str(path), "", "there already", "expected a new file", "replace it with --force")]
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        yaml.dump(suite, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110), encoding="utf-8"
    )
    for reason in dict.fromkeys(left_out.values()):
        names = ", ".join(name for name, one in left_out.items() if one == reason)
        print(f"left out, {reason}: {names}", file=sys.stderr)
    print(f"{len(suite['cases']):,} attacks on {target.name} through {variable}", file=sys.stderr)
    print(path)


def _values(pairs: list[str], prompt: Any, variable: str) -> dict[str, Any]:
    """Values of the prompt's other variables; one that is required and has none is an error."""
    import yaml

    found: dict[str, Any] = {}
    problems = []
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or name not in prompt.variables:
            expected = f"expected name=value with a variable of the prompt: {', '.join(prompt.variables)}"
            problems.append(Problem("promptship redteam make", "--set", repr(pair), expected))
            continue
        found[name] = yaml.safe_load(value)
    for name, one in prompt.variables.items():
        if name == variable or name in found:
            continue
        if one.examples:
            found[name] = one.examples[0]
        elif one.required and one.default is None:
            advice = f"add --set {name}=..., or an example to the prompt"
            problems.append(
                Problem("promptship redteam make", "--set", f"{name} is missing", "it is required", advice)
            )
    if problems:
        raise ConfigError(problems)
    return found
