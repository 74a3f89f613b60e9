from __future__ import annotations

from pathlib import Path

import pytest

from promptship.errors import ConfigError
from promptship.evals.promptfoo.environment import env_paths, is_on, render_env, visible_env, with_env_files
from promptship.evals.promptfoo.references import load_nested, load_value
from promptship.evals.promptfoo.yaml_text import Timestamp


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name, text in {
        "a.json": '{"k": [1.0, "x"]}',
        "b.yaml": "k: yes\nd: 2026-01-31\n",
        "c.txt": "\n text \n",
        "d.md": "# text\n",
        "one.csv": "word\nx\ny\n",
        "two.csv": "a,b\n1,2\n",
        "many/1.json": "[1, 2]",
        "many/2.yaml": "three",
        "many/3.yaml": "",
        "f.py": "def f(): ...",
        "bad.json": '{\n"a": NaN}',
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("file://a.json", {"k": [1.0, "x"]}),
        ("file://b.yaml", {"k": "yes", "d": "2026-01-31T00:00:00.000Z"}),
        ("file://c.txt", "text"),
        ("file://d.md", "# text\n"),
        ("file://one.csv", ["x", "y"]),
        ("file://two.csv", [{"a": "1", "b": "2"}]),
        ("file://many/*", ["three", 1, 2]),
    ],
)
def test_files_stand_for_what_they_hold(base: Path, reference: str, value: object) -> None:
    assert load_value(reference, base) == value
    assert load_value(reference.replace("file://", f"file://{base}/"), Path("/")) == value


@pytest.mark.parametrize(
    "reference", ["file://gone.json", "file://f.py", "file://bad.json", "file://gone/*.json"]
)
def test_what_cannot_be_loaded_is_told(base: Path, reference: str) -> None:
    with pytest.raises(ConfigError):
        load_value(reference, base)


def test_inside_of_values(base: Path) -> None:
    value = {
        "vars": {"v": "file://a.json"},
        "deep": [{"x": "file://c.txt"}, 1, None],
        "file": "file://{{ env.NAME }}.json",
        "function": "file://f.py:f",
        "source": "file://f.py",
        "assert": {"type": "python", "value": "file://f.py"},
        "other": {"type": "contains", "value": "file://c.txt"},
    }
    assert load_nested(value, base, env={"NAME": "a"}) == {
        "vars": {"v": "file://a.json"},
        "deep": [{"x": "\n text \n"}, 1, None],
        "file": {"k": [1.0, "x"]},
        "function": "file://f.py:f",
        "source": "def f(): ...",
        "assert": {"type": "python", "value": "file://f.py"},
        "other": {"type": "contains", "value": "\n text \n"},
    }


def test_env_is_filled_in_where_it_is_known() -> None:
    value = {
        "a": "{{ env.A }}-{{env['B-C']}}-{{ env.NONE }}-{{ other }}",
        "b": ["{{ env.NONE | default('d') }}", "{{ env.A | upper }}", "{{ env.A | nofilter }}", 5, None],
        "c": Timestamp("2026-01-31T00:00:00.000Z"),
        "_conversation": "{{ env.A }}",
    }
    assert render_env(value, {"A": "a", "B-C": "bc"}) == {
        "a": "a-bc-{{ env.NONE }}-{{ other }}",
        "b": ["d", "A", "{{ env.A | nofilter }}", 5, None],
        "c": {},
        "_conversation": "{{ env.A }}",
    }
    assert render_env(value, {"A": "a"}, enabled=False) is value


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{{ env.A ~ env.NONE }}|{{ env.NONE ~ env.A }}", "aundefined|{{ env.NONE ~ env.A }}"),
        ("{{ env.NONE or 'x' }}{{ env }}{{ env[name] }}", "{{ env.NONE or 'x' }}{{ env }}{{ env[name] }}"),
        ("{{ x | default(env.A) }}{{ x | default(env.NONE) }}", "a"),
        ("{{ myenv.A }}{{ environment.A }}", "{{ myenv.A }}{{ environment.A }}"),
        ("{{ env.A }}}{{ env.A", "a}{{ env.A"),
        ("{{ x {{ env.A }}{{ env.A | }}", "{{ x {{ env.A }}{{ env.A | }}"),
        ("{{ env.A if env.NONE else 2 }}{{ 1 if env.NONE else env.A }}", "2{{ 1 if env.NONE else env.A }}"),
    ],
)
def test_a_tag_is_filled_in_when_the_first_variable_of_env_is_there(text: str, filled: str) -> None:
    assert render_env(text, {"A": "a"}) == filled


def test_what_anchors_share_stays_shared() -> None:
    shared = ["{{ env.A }}"]
    made = render_env([shared, shared], {"A": "a"})
    assert made == [["a"], ["a"]]
    assert made[0] is made[1]


def test_env_files_come_before_or_after_the_process(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=file\nB=file # note\nexport C='$A'\n")
    (tmp_path / "over.env").write_text("A=over\nD=\n")
    assert with_env_files({"A": "process"}, tmp_path) == {"A": "process", "B": "file", "C": "$A"}
    assert with_env_files({"A": "process"}, tmp_path, [tmp_path / "over.env"])["A"] == "over"
    with pytest.raises(ConfigError, match="envPath"):
        with_env_files({}, tmp_path, [tmp_path / "gone.env"])
    assert env_paths({"envPath": ["a, b", "/c"]}, tmp_path) == [tmp_path / "a", tmp_path / "b", Path("/c")]


def test_what_templates_see_of_the_environment() -> None:
    env = {"A": "a", "B": "b"}
    assert visible_env(env, {"B": 1.0, "C": True, "D": None}) == {"A": "a", "B": "1", "C": "true"}
    assert visible_env({**env, "PROMPTFOO_DISABLE_TEMPLATE_ENV_VARS": "true"}, {"C": "c"}) == {"C": "c"}
    assert visible_env({**env, "PROMPTFOO_SELF_HOSTED": "1"}, {}) == {}
    assert not is_on({"X": "no"}, "X")
