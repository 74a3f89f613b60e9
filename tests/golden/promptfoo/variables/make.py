# A script of a team: no annotations, any names.
# ruff: noqa: ANN001
# mypy: ignore-errors
def get_var(name, prompt, other_vars):
    return {"output": "py " + name}
