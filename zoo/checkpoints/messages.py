"""What a file holds, as messages say it: escaped and short, whatever the file says."""

from collections.abc import Collection

MAX_SHOWN = 60  # characters; the longest name in the authors' files has 44


def shown(value) -> str:
    """Short text and numbers themselves, of other values their type.

    A hostile tuple of tuples would take exponential time to print, and a name of a million
    characters or of a terminal's commands is none that a reader can use.
    """
    if type(value) is str:
        return ascii(value[:MAX_SHOWN]) + ("..." if len(value) > MAX_SHOWN else "")
    return str(value)[:MAX_SHOWN] if type(value) is int else type(value).__name__


def listed(values: Collection, most: int = 5) -> str:
    """The first `most` of `values`, each as `shown`, with commas between; "none" for none."""
    first = ", ".join(shown(value) for value in list(values)[:most])
    return f"{first or 'none'}{' ...' if len(values) > most else ''}"
