from typing import Any


def with_config(context: dict[str, Any]) -> dict[str, Any]:
    return {"prompt": f"Ask for the {context['vars']['word']}", "config": {"temperature": 0.9}}
