# A script of a team: no annotations, any names.
# ruff: noqa: ANN001
# mypy: ignore-errors
def several(output, context):
    return ["nothing", output[:2]]
