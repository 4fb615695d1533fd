"""Networks at work elsewhere: the SavedModel that servers load, and what lies beside it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: the names beside it are wanted where nothing is served.
    if name == "Client":
        from .client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
