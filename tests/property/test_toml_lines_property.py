import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.toml_lines import Path, toml_lines

KEYS = st.sampled_from(["a", "b_c", "d-1", "with.dot", "with space", "[x]", "#y", "="])
SCALARS = st.sampled_from(
    [
        "1",
        "0.5",
        "true",
        '"a # = [ ] { } text"',
        "'x = [1'",
        "2027-01-14",
        '"""\n[no]\nk = 1\n"""',
        "[]",
        "{}",
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(
        lambda items: "[\n  " + ",  # c\n  ".join(items) + ",\n]"
    ),
    max_leaves=4,
)
INLINE = st.dictionaries(KEYS, SCALARS.filter(lambda text: "\n" not in text), max_size=2).map(
    lambda table: "{ " + ", ".join(f"{_key(k)} = {v}" for k, v in table.items()) + " }"
)
TABLE = st.dictionaries(KEYS, VALUES | INLINE, max_size=3)


def _key(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() else f'"{name}"'


def _paths(value: Any, path: Path = ()) -> set[Path]:
    items: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    found = {path} if path else set()
    return found.union(*(_paths(inner, (*path, key)) for key, inner in items))


@settings(max_examples=100, deadline=None)
@given(
    top=TABLE,
    tables=st.dictionaries(KEYS, TABLE, max_size=2),
    rows=st.lists(TABLE, max_size=3),
    blank=st.integers(0, 2),
)
def test_exactly_the_keys_of_a_document_have_lines_and_each_line_shows_its_key(
    top: dict[str, str], tables: dict[str, dict[str, str]], rows: list[dict[str, str]], blank: int
) -> None:
    def body(table: dict[str, str]) -> list[str]:
        return [f"{_key(key)} = {value}  # note" + "\n" * blank for key, value in table.items()]

    text = "\n".join(
        [
            *body(top),
            *(line for name, table in tables.items() for line in [f"[t.{_key(name)}.z]", *body(table)]),
            *(line for table in rows for line in ["[[rows]]", *body(table)]),
        ]
    )
    lines = toml_lines(text)
    assert set(lines) == _paths(tomllib.loads(text))
    shown = text.split("\n")
    for path, line in lines.items():
        if isinstance(path[-1], str):
            assert path[-1] in shown[line - 1]
