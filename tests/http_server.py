"""A real HTTP server on loopback that misbehaves as its data say."""

import contextlib
import gzip
import http.server
import re
import threading
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How one request for a file is answered.

    status: other than 200, it is sent alone. headers: besides the usual ones; None takes one away.
    body: in place of the file's. cut: bytes of the body after which the connection ends.
    stall: bytes of the body after which nothing comes any more. lie: added to Content-Length.
    ranges: whether Range is heeded. careless: whether it is heeded whatever If-Range says.
    """

    status: int = 200
    headers: dict = field(default_factory=dict)
    body: bytes | None = None
    cut: int | None = None
    stall: int | None = None
    lie: int = 0
    ranges: bool = True
    careless: bool = False
    compressed: bool = False


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    path: str
    headers: dict


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`, each by its list of answers: the first to the first request, the last on.

    requests: all that came, in order.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.files, self.requests = {}, []
        self.closing = threading.Event()
        self._lock = threading.Lock()

    def serve(self, name, body, *answers) -> str:
        """URL of a file `name` that holds `body` from now on."""
        self.files[f"/{name}"] = (body, list(answers or [Answer()]))
        return f"{self.url}/{name}"

    def next_answer(self, request):
        with self._lock:
            self.requests.append(request)
            body, answers = self.files.get(request.path, (b"", [Answer(status=404)]))
            return body, answers.pop(0) if len(answers) > 1 else answers[0]

    def handle_error(self, request, client_address):
        """Clients that go away in the middle, or do not speak HTTP, are no news here."""


@contextlib.contextmanager
def running():
    """A server that runs in a thread."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = re.sub(r"^http://[^/]*", "", self.path)  # a proxy is asked with the whole URL
        request = Request(path, dict(self.headers))
        body, answer = self.server.next_answer(request)
        body = body if answer.body is None else answer.body
        headers = {"Content-Type": "application/octet-stream", "ETag": '"1"', **answer.headers}
        status = answer.status
        if status == 200:
            status, extra, body = self.select(answer, body, headers)
            headers = {**headers, **extra}
        elif answer.body is None:
            body = b""
        headers = {"Content-Length": len(body) + answer.lie, **headers, "Connection": "close"}
        self.reply(status, {k: v for k, v in headers.items() if v is not None}, body, answer)

    def select(self, answer, body, headers):
        """Status, further headers and body: all of the file, or the range that is asked for."""
        if answer.compressed:
            return 200, {"Content-Encoding": "gzip"}, gzip.compress(body, 1)
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        valid = (headers.get("ETag"), headers.get("Last-Modified"))
        same = self.headers.get("If-Range") in valid or answer.careless
        if not (asked and answer.ranges and same):
            return 200, {}, body
        start = int(asked[1])
        if start >= len(body):
            return 416, {"Content-Range": f"bytes */{len(body)}"}, b""
        content = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
        return 206, {**content, **answer.headers}, body[start:]

    def reply(self, status, headers, body, answer):
        self.close_connection = True
        self.send_response_only(status)
        for name, value in {"Date": self.date_time_string(), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        sent = min(len(body) if n is None else n for n in (answer.cut, answer.stall))
        self.wfile.write(body[:sent])
        self.wfile.flush()
        if answer.stall is not None:
            self.server.closing.wait(60)

    def log_message(self, format, *args):
        """Silent: the tests' output is their own."""
