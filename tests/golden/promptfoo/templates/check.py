# A script of a team: no annotations, any names.
# ruff: noqa: ANN001
# mypy: ignore-errors
def get_assert(output, context):
    return len(output) > context["config"]["limit"]
