"""What an application imports: its prompts from a gateway, rendered in its own process, measured like the gateway's own.

    from promptship.client import Client

    client = Client("http://127.0.0.1:4281")
    call = client.get("support").render({"question": "Where is my parcel?"}, unit="user-7")

Light: it needs neither Prefect, DuckDB nor pandas, and is imported in well under 150 ms.
"""

from promptship.client.client import AsyncClient, Client
from promptship.client.state import State

__all__ = ["AsyncClient", "Client", "State"]
