"""What is installed is what is in the tree: setuptools cannot discover packages across our folder mapping."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def setuptools_table() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        table: dict[str, Any] = tomllib.load(file)["tool"]["setuptools"]
    return table


def shipped_files() -> Iterator[PurePosixPath]:
    """Every file that belongs into the wheel, by its place in it; symlinks are not followed."""
    for package, folder in setuptools_table()["package-dir"].items():
        for directory, folders, names in os.walk(ROOT / folder):
            folders[:] = [name for name in folders if name != "__pycache__"]
            inside = Path(directory).relative_to(ROOT / folder)
            for name in names:
                if not name.startswith(".") and not name.endswith(".pyc"):
                    yield PurePosixPath(*package.split("."), *inside.parts, name)


def test_every_folder_with_code_is_listed_as_a_package() -> None:
    listed = setuptools_table()["packages"]
    found = {".".join(path.parts[:-1]) for path in shipped_files() if path.suffix == ".py"}

    missing = sorted(found - set(listed))
    stale = sorted(set(listed) - found)
    assert not missing, f"add to [tool.setuptools] packages in pyproject.toml: {missing}"
    assert not stale, f"remove from [tool.setuptools] packages in pyproject.toml, no code there: {stale}"
    assert listed == sorted(listed), "keep [tool.setuptools] packages in alphabetical order"


@pytest.mark.parametrize("name", ["evals", "flows", "tasks"])
def test_type_checkers_see_the_mapped_folders(name: str) -> None:
    link = ROOT / "src" / "promptship" / name

    assert link.is_symlink()
    assert link.resolve() == ROOT / name


def test_the_lock_names_no_place() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")

    places = [line for line in lock.splitlines() if "://" in line or "/home/" in line or line.startswith("-")]
    assert not places


@pytest.mark.slow
def test_the_wheel_holds_exactly_the_tree(tmp_path: Path) -> None:
    # From a copy: a build in place would pick up what an earlier build left in build/.
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, source)
    for name in ("src", "flows", "tasks", "evals"):
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignore)

    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--no-index", "--wheel-dir", str(tmp_path), str(source)], check=True)

    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        built = {PurePosixPath(name) for name in archive.namelist() if not name.endswith("/")}
    code = {path for path in built if not path.parts[0].endswith(".dist-info")}
    assert {path.parts[0] for path in code} == {"promptship"}
    assert sorted(map(str, code)) == sorted(map(str, shipped_files()))
