"""Long-lived worker processes that answer one JSON line for each line they are sent.

A parent that measures two frameworks keeps one process for each, and asks one at a time: neither
pays for the other's memory, threads or import.
"""

import json
import os
import pathlib
import select
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


class WorkerError(RuntimeError):
    """A worker could not do what it was asked, or took too long."""


class Worker:
    """A process of `python -m module arguments`; `environ` is added to this process' own."""

    def __init__(self, module: str, *arguments: str, **environ: str):
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **environ},
        )

    def ask(self, do: str, limit_s: float | None = None, **request) -> dict:
        """The answer to `request`; `do` names a method of the worker's service.

        Raises:
            WorkerError: the worker failed at it, ended, or took more than `limit_s` seconds; in
                the last two cases it is no more.
        """
        try:
            self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError("the process has ended") from None
        if not select.select([self.process.stdout], [], [], limit_s)[0]:
            self.process.kill()
            self.process.wait()
            raise WorkerError(f"took more than {limit_s:.0f} s")
        answer = json.loads(self.process.stdout.readline() or '{"error": "the process has ended"}')
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    @property
    def alive(self) -> bool:
        """Whether it still answers."""
        return self.process.poll() is None

    def close(self) -> None:
        """Ends the process; it has nothing to lose."""
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def serve(service) -> None:
    """In the worker: answers each request {"do": name, ...} with what `service.name(...)` gives."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(service, request.pop("do"))(**request)
        except Exception as error:  # one configuration that fails must not end the benchmark
            text = (str(error).strip() or "no message").splitlines()[0]
            answer = {"error": f"{type(error).__name__}: {text[:200]}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
