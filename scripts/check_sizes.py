"""Check that files and functions stay small enough to be read in one sitting."""

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("src", "flows", "tasks", "evals", "tests", "scripts", "examples", "benchmarks")
MAX_FUNCTION_LINES = 70
MAX_FILE_LINES = 400
# A command parses, calls and prints; what it does lives below the CLI.
MAX_FILE_LINES_IN = {"src/promptship/cli": 150}


def python_files() -> Iterator[Path]:
    """Yield our Python files, each once: os.walk does not follow the symlinks in src/promptship."""
    for folder in FOLDERS:
        for directory, _, names in os.walk(ROOT / folder):
            yield from (Path(directory, name) for name in sorted(names) if name.endswith(".py"))


def too_long(path: Path) -> Iterator[str]:
    """Yield one line for each limit that the file breaks."""
    name = path.relative_to(ROOT).as_posix()
    source = path.read_text(encoding="utf-8")
    lines = len(source.splitlines())
    limit = MAX_FILE_LINES_IN.get(path.parent.relative_to(ROOT).as_posix(), MAX_FILE_LINES)
    if lines > limit:
        yield f"{name}: the file has {lines} lines, the limit is {limit}"
    for node in ast.walk(ast.parse(source, filename=name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield f"{name}:{node.lineno}: {node.name} has {length} lines, the limit is {MAX_FUNCTION_LINES}"


def main() -> int:
    """Print every breach; return the exit code."""
    files = list(python_files())
    breaches = [breach for path in files for breach in too_long(path)]
    for breach in breaches:
        print(breach)
    print(f"sizes: {len(files)} files, {len(breaches)} over the limit", file=sys.stderr)
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
