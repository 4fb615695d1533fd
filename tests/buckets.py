"""Real servers on loopback: S3 by moto, Cloud Storage by an emulator, files by HTTP."""

import contextlib
import importlib.util
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import time

import pytest
import requests

from tests.moody_server import moody

BUCKET = "bucket"
KEYS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


def needs_s3():
    """Skips a test where TensorFlow has no s3://, not even by tensorflow-io, or moto is absent."""
    if importlib.util.find_spec("tensorflow_io") is None:
        pytest.skip("no tensorflow-io: s3:// is of the io and card stacks")
    if importlib.util.find_spec("moto") is None:
        pytest.skip("no moto: pip install -e '.[s3-server]'")


@contextlib.contextmanager
def s3():
    """A bucket on an S3 server, behind a MoodyServer; gives that.

    `environment` of it is what a process needs to reach the bucket.
    """
    with _process("-m", "moto.server", "-H", "127.0.0.1", "-p", "{port}") as port:
        requests.put(f"http://127.0.0.1:{port}/{BUCKET}", timeout=60).raise_for_status()
        with moody(port) as server:
            server.environment = {**KEYS, "S3_ENDPOINT": server.url, "S3_USE_HTTPS": "0"}
            yield server


@contextlib.contextmanager
def gs(folder: pathlib.Path):
    """A bucket on an emulator of Cloud Storage, behind a MoodyServer; gives that.

    TensorFlow knows one address of it alone. So the server is a proxy, and speaks as that address,
    with a certificate that is made in `folder`.
    """
    command = ("-m", "gcp_storage_emulator", "start", "--host=127.0.0.1", "--port={port}")
    with _process(*command, "--in-memory", f"--default-bucket={BUCKET}") as port:
        with moody(port, _certificate(folder)) as server:
            proxies = dict.fromkeys(("http_proxy", "https_proxy"), server.url)
            server.environment = {
                **proxies,
                "CURL_CA_BUNDLE": str(folder / "cert.pem"),
                "NO_GCE_CHECK": "true",
                "GOOGLE_AUTH_TOKEN_FOR_TESTING": "token",
            }
            yield server


@contextlib.contextmanager
def web(folder: pathlib.Path, module: str = "RangeHTTPServer"):
    """The files of a folder on a web server, behind a MoodyServer; gives that."""
    with _process("-m", module, "{port}", folder=folder) as port, moody(port) as server:
        yield server


@contextlib.contextmanager
def _process(*arguments: str, folder: pathlib.Path | None = None):
    """Runs a module that serves, and gives its port when it answers."""
    port = _free_port()
    command = [sys.executable, *(part.format(port=port) for part in arguments)]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait(process, port)
            yield port
        finally:
            process.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def _wait(process: subprocess.Popen, port: int) -> None:
    end_s = time.monotonic() + 120
    while time.monotonic() < end_s:
        assert process.poll() is None, f"{process.args} has ended with {process.returncode}"
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.05)
    raise TimeoutError(f"{process.args} does not answer")


def _certificate(folder: pathlib.Path) -> ssl.SSLContext:
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    key, certificate = folder / "key.pem", folder / "cert.pem"
    names = "subjectAltName=DNS:*.googleapis.com"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        + ["-subj", "/CN=googleapis.com", "-addext", names, "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def environment(**more: str) -> dict[str, str]:
    """That of a process of its own."""
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **more}
