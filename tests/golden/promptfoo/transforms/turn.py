# A script of a team: no annotations, any names.
# ruff: noqa: ANN001
# mypy: ignore-errors
def get_transform(output, context):
    return f"{output} of {sorted(name for name in context['vars'] if name != '_conversation')}"
