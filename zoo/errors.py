"""What goes wrong with published files."""


class CheckpointError(ValueError):
    """A file does not hold what it should: the message says what came and what was expected."""


class DownloadError(OSError):
    """A file could not be got: the message names it, its origin, and where to put it by hand."""
