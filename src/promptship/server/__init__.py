"""The control plane: pushes and clicks come in, routes go out, people and programs read and decide."""

from promptship.server.app import create_app
from promptship.server.serve import serve

__all__ = ["create_app", "serve"]
