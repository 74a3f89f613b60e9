"""What is sent is what is written, and a user's text is never a template."""

import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from promptship.errors import InvalidVariables
from promptship.prompts.model import Message, Prompt, Variable, VariableType
from promptship.prompts.render import check_variables, render
from promptship.prompts.templates import is_static
from promptship.prompts.variables import misfit
from tests.property.prompt_values import json_values, names, texts


def prompt_of(*contents: str, **variables: Variable) -> Prompt:
    return Prompt(
        name="p", messages=tuple(Message(role="user", content=text) for text in contents), variables=variables
    )


@settings(max_examples=75, deadline=None)
@given(texts)
def test_text_without_markup_is_sent_byte_for_byte(text: str) -> None:
    text = text.replace("{", "(")

    assert is_static(text)
    assert render(prompt_of(text), {}).messages[0]["content"] == text


@settings(max_examples=75, deadline=None)
@given(texts, texts, texts)
def test_only_the_tag_is_replaced_and_a_value_is_never_a_template(
    before: str, value: str, after: str
) -> None:
    before, after = before.replace("{", "("), after.replace("{", "(")
    prompt = prompt_of(f"{before}{{{{ x }}}}{after}", x=Variable())

    assert render(prompt, {"x": value}).messages[0]["content"] == f"{before}{value}{after}"


FITS: dict[VariableType, tuple[type, ...]] = {
    VariableType.STRING: (str,), VariableType.INTEGER: (int,), VariableType.NUMBER: (int, float), VariableType.BOOLEAN: (bool,),
    VariableType.ARRAY: (list,), VariableType.OBJECT: (dict,),
}  # fmt: skip


@pytest.mark.parametrize("kind", VariableType)
@pytest.mark.parametrize(
    "value", ["", "1", 0, 1, -(10**30), 1.0, -0.5, True, False, None, [], [1], {}, {"a": 1}], ids=repr
)
def test_every_type_refuses_every_other(kind: VariableType, value: object) -> None:
    assert (misfit(Variable(type=kind), value) is None) == (type(value) in FITS[kind])


@settings(max_examples=75, deadline=None)
@given(st.sampled_from(VariableType), json_values)
def test_a_value_fits_exactly_when_json_says_so(kind: VariableType, value: object) -> None:
    assert (misfit(Variable(type=kind), value) is None) == (type(value) in FITS[kind])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_is_no_number(value: float) -> None:
    assert misfit(Variable(type=VariableType.NUMBER), value) is not None


def alike(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down: in Python alone [False] equals [0]."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    return bool(one == other)


@settings(max_examples=50, deadline=None)
@example([[False, False]], [False, 0]).via("equal in Python, not in JSON")
@given(st.lists(json_values, max_size=3), json_values)
def test_an_enum_admits_exactly_its_values(choices: list[Any], value: object) -> None:
    kind = (
        next(kind for kind, types in FITS.items() if type(value) in types)
        if value is not None
        else VariableType.STRING
    )
    variable = Variable(type=kind, enum=tuple(choices))

    admitted = any(alike(choice, value) for choice in choices)
    if admitted and value is not None:
        assert misfit(variable, value) is None
    if not choices:
        assert misfit(variable, value) is not None


declared = st.dictionaries(
    names, st.builds(Variable, required=st.booleans(), default=st.none() | st.just("d")), max_size=4
)


@settings(max_examples=75, deadline=None)
@given(declared, st.dictionaries(names, st.none() | st.just("v"), max_size=4), st.data())
def test_exactly_the_missing_and_the_unknown_are_named(
    variables: dict[str, Variable], given_: dict[str, str | None], data: st.DataObject
) -> None:
    known = sorted(variables)
    given_ |= dict.fromkeys(data.draw(st.lists(st.sampled_from(known), max_size=3)) if known else [], "v")
    prompt = prompt_of("x", **variables)

    missing = {
        name
        for name, variable in variables.items()
        if variable.required and variable.default is None and given_.get(name) is None
    }
    wrong = missing | (given_.keys() - variables.keys())

    assert check_variables(prompt, given_).keys() == wrong
    if wrong:
        with pytest.raises(InvalidVariables) as caught:
            render(prompt, given_)
        assert caught.value.problems.keys() == wrong
    else:
        assert render(prompt, given_).messages[0]["content"] == "x"


@settings(max_examples=30, deadline=None)
@given(json_values, st.sampled_from(VariableType))
def test_a_refused_value_is_not_quoted(value: object, kind: VariableType) -> None:
    secret = {"k": ["5ecret", value]}

    assert "5ecret" not in (misfit(Variable(type=VariableType.STRING), secret) or "")
    assert "5ecret" not in (misfit(Variable(type=kind, enum=("a",)), "5ecret") or "")
