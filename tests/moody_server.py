"""A real HTTP server between a client and another one: it passes requests on, or misbehaves."""

import contextlib
import http.client
import http.server
import ssl
import threading
import urllib.parse

WELL, STALLED = "well", "stalled"
_OWN = ("connection", "transfer-encoding", "keep-alive", "proxy-connection")


class MoodyServer(http.server.ThreadingHTTPServer):
    """Passes what it is asked to the server at 127.0.0.1:`port`.

    mood: WELL; STALLED, which answers nothing; or a status to answer, such as 403. moods: of the
    next requests, before `mood` counts again. requests: (method, path) of all. cut: bytes after
    which a body stalls. tls: what proxies speak as the hosts that they are asked to CONNECT to.
    """

    daemon_threads = True

    def __init__(self, port: int, tls: ssl.SSLContext | None = None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.tls = port, tls
        self.address = f"127.0.0.1:{self.server_port}"
        self.url = f"http://{self.address}"
        self.mood, self.moods, self.requests, self.cut = WELL, [], [], None
        self.closing = threading.Event()

    def handle_error(self, request, client_address):
        """Clients that go away in the middle are no news here."""


@contextlib.contextmanager
def moody(port: int, tls: ssl.SSLContext | None = None):
    """A MoodyServer that runs in a thread."""
    with MoodyServer(port, tls) as server:
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

    def do_CONNECT(self):
        """A tunnel to a host that speaks TLS, whose other end is here."""
        self.send_response_only(200)
        self.end_headers()
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb", self.rbufsize)
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = False

    def finish(self):
        super().finish()
        self.connection.close()  # of a tunnel: the server knows the socket below it alone

    def do_ANY(self):
        # A proxy is asked with the whole URL.
        parts = urllib.parse.urlsplit(self.path)
        path = urllib.parse.urlunsplit(("", "", parts.path, parts.query, ""))
        self.server.requests.append((self.command, path))
        mood = self.server.moods.pop(0) if self.server.moods else self.server.mood
        body = self._body()
        if mood == STALLED:
            self.server.closing.wait(60)
            self.close_connection = True
        elif mood == WELL:
            self._pass_on(path, body)
        else:
            self._answer(mood, {}, b"")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_ANY

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _pass_on(self, path: str, body: bytes) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=60)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in (*_OWN, "expect")}
        headers["Content-Length"] = str(len(body))
        with contextlib.closing(connection):
            connection.request(self.command, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            kept = {k: v for k, v in answer.getheaders() if k.lower() not in _OWN}
            length = kept.pop("Content-Length", None) or kept.pop("content-length", None)
            if self.command == "HEAD" and length:
                kept["Content-Length"] = length
            self._answer(answer.status, kept, content)

    def _answer(self, status: int, headers: dict, body: bytes) -> None:
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.server.cut is not None and len(body) > self.server.cut:
            self.wfile.write(body[: self.server.cut])
            self.wfile.flush()
            self.server.closing.wait(60)
            self.close_connection = True
        else:
            self.wfile.write(body)

    def log_message(self, format, *args):
        """Silent: the tests' output is their own."""
