"""A camera on loopback in a process of its own, which tests may stop, kill and start again.

It speaks RTSP (RFC 2326, H.264 over RTP within the TCP connection, as most network cameras do), or
sends MPEG-TS over HTTP. Each client gets frames in real time, whose brightness says how old the
camera's process is: `level` of seconds.
"""

import argparse
import contextlib
import os
import signal
import socketserver
import subprocess
import sys
import time

import numpy as np

SIZE, RATE = (48, 64), 15
"""(height, width) in pixels, and Hz."""
BEGUN_S = time.monotonic()
SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
SDP += "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n"
SDP += "a=control:track1\r\n"


def level(age_s: float) -> int:
    """Grey, 16 to 235, at an age of a camera: it grows by 2 every frame, and starts again."""
    return 16 + 2 * (int(age_s * RATE) % 110)


class Camera:
    """A camera's process. `url` is where it is watched."""

    def __init__(self, kind="rtsp", port=0, frames=0):
        command = [sys.executable, __file__, kind, str(port), str(frames)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = int(self._process.stdout.readline())
        self.url = f"{kind}://127.0.0.1:{self.port}/live"

    def send(self, number: signal.Signals) -> None:
        """Sends the process a signal: SIGSTOP makes it stall, SIGKILL is its end."""
        os.kill(self._process.pid, number)
        if number == signal.SIGKILL:
            self.close()

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


@contextlib.contextmanager
def camera(kind="rtsp", port=0, frames=0):
    """A Camera; `frames`: after so many it ends each client's connection."""
    running = Camera(kind, port, frames)
    try:
        yield running
    finally:
        running.close()


class _Interleaved:
    """What FFmpeg's RTP muxer writes, a packet at a time, as RTSP carries it within TCP."""

    def __init__(self, connection):
        self._connection = connection

    def write(self, packet) -> int:
        packet = bytes(packet)
        channel = 1 if 192 <= packet[1] <= 223 else 0  # RTCP: RFC 5761, section 4
        head = b"$" + bytes([channel]) + len(packet).to_bytes(2, "big")
        self._connection.sendall(head + packet)
        return len(packet)


class _Plain(_Interleaved):
    def write(self, piece) -> int:
        self._connection.sendall(bytes(piece))
        return len(piece)


def _film(file, muxer: str, frames: int, buffer_size: int) -> None:
    """Frames in real time, until the client goes or `frames` are sent."""
    import av

    with av.open(file, "w", format=muxer, buffer_size=buffer_size) as container:
        options = {"tune": "zerolatency", "preset": "ultrafast", "x264-params": "keyint=8"}
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        begun_s = time.monotonic()
        number = 0
        while not frames or number < frames:
            pixels = np.full((*SIZE, 3), level(time.monotonic() - BEGUN_S), np.uint8)
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            # A process that was stopped goes on with the present, as a camera does.
            picture.pts = number = max(number + 1, int((time.monotonic() - begun_s) * RATE))
            container.mux(stream.encode(picture))
            time.sleep(max(0.0, begun_s + (number + 1) / RATE - time.monotonic()))


class _Rtsp(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while request := self._request():
            method, url, *_ = request["first"].split()
            answer = {"CSeq": request.get("cseq", "0"), "Session": "1"}
            body = ""
            if method == "DESCRIBE":
                body = SDP
                answer |= {"Content-Type": "application/sdp", "Content-Base": f"{url}/"}
            elif method == "SETUP":
                answer["Transport"] = "RTP/AVP/TCP;unicast;interleaved=0-1"
            elif method == "OPTIONS":
                answer["Public"] = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"
            answer["Content-Length"] = str(len(body))
            head = "".join(f"{name}: {value}\r\n" for name, value in answer.items())
            self.wfile.write(f"RTSP/1.0 200 OK\r\n{head}\r\n{body}".encode())
            if method in ("PLAY", "TEARDOWN"):
                break
        if request and method == "PLAY":
            _film(_Interleaved(self.connection), "rtp", self.server.frames, 1400)

    def _request(self) -> dict[str, str]:
        lines = list(iter(lambda: self.rfile.readline().decode().strip(), ""))
        pairs = (line.partition(":") for line in lines[1:])
        fields = {name.lower(): value.strip() for name, _, value in pairs}
        return {"first": lines[0], **fields} if lines else {}


class _Http(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")
        _film(_Plain(self.connection), "mpegts", self.server.frames, 1316)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def handle_error(self, request, client_address) -> None:
        """Clients that go away are no news."""


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["rtsp", "http"])
    parser.add_argument("port", type=int)
    parser.add_argument("frames", type=int)
    given = parser.parse_args()
    handler = {"rtsp": _Rtsp, "http": _Http}[given.kind]
    with _Server(("127.0.0.1", given.port), handler) as server:
        server.frames = given.frames
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    _main()
