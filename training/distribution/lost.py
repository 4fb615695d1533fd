"""What ends the training of one process because of another."""


class WorkerLostError(ConnectionError):
    """A worker that never came, or has ended; the message says which, and what to do."""
