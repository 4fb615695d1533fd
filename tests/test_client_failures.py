"""Clients of servers that go away, are busy, silent or no TensorFlow Serving at all."""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest

from r21d_keras.training.cli import main
from r21d_keras.training.serving import Client
from r21d_keras.training.serving.asked import in_parts
from r21d_keras.training.serving.retries import retried
from r21d_keras.training.serving.saved_model import export
from r21d_keras.training.serving.transport import ServerError, address_of
from tests.http_server import Answer

pytest.importorskip("tensorflow_serving.apis")  # of the extra servers
from tests import serving_double as double_of  # noqa: E402


def test_a_server_that_is_killed_and_comes_back_is_asked_again(tiny_run, tmp_path):
    models = double_of.warmed_up_little(tmp_path)
    export(tiny_run(), models)

    def start(port="0"):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.serving_double", f"mine={models}", port],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        return process, json.loads(process.stdout.readline())["grpc"]

    first, url = start()
    clips, second = np.full((1, 4, 36, 40, 3), 128, np.uint8), []
    try:
        with Client(f"{url}/mine", timeout_s=120) as client:
            expected = client.probabilities(clips)
            first.send_signal(signal.SIGKILL)
            first.wait()
            again = threading.Thread(target=lambda: second.append(start(url.rpartition(":")[2])))
            again.start()
            np.testing.assert_array_equal(client.probabilities(clips), expected)
            again.join()
    finally:
        for process in (first, *(row[0] for row in second)):
            process.kill()
            process.communicate()


def test_a_busy_server_is_asked_again_and_one_that_stays_so_is_named(server):
    status = json.dumps({"model_version_status": [{"version": "3", "state": "AVAILABLE"}]})
    busy = [Answer(status=code) for code in (503, 429, 502)]
    server.serve("v1/models/mine", status.encode(), *busy, Answer())
    with Client(f"{server.url}/mine") as client:
        assert client.versions() == {3: "AVAILABLE"}
    assert len(server.requests) == 4
    server.serve("v1/models/mine", b"", Answer(status=503, body=b'{"error": "too busy"}'))
    with Client(f"{server.url}/mine", timeout_s=0.5) as client:
        with pytest.raises(ServerError, match="UNAVAILABLE for 0.5 s: too busy. Look whether"):
            client.versions()


def test_what_a_server_has_said_is_told_where_there_is_no_time_for_another_answer():
    codes = iter(["UNAVAILABLE", "DEADLINE_EXCEEDED"])

    def ask(left_s):
        raise ServerError(next(codes), "too busy")

    with pytest.raises(ServerError) as raised:
        retried(ask, 60.0)
    assert raised.value.code == "UNAVAILABLE" and next(codes, None) is None


@pytest.mark.parametrize(
    ("detail", "fault"),
    [
        ("{{function_node f}} assertion failed: [no [1 2]]\n\t [[{{node a/Assert}}]]", "no [1 2]"),
        ("Invalid JPEG data, size 8\n\t [[{{node map/DecodeJpeg}}]]", "Invalid JPEG data, size 8"),
        (
            "Graph execution error:\n\nDetected at node m defined at (most recent call last):\n"
            "<stack traces unavailable>\nInvalid PNG\n\t [[{{node m}}]] [Op:__inference_f_3]",
            "Invalid PNG",
        ),
        ("Servable not found", "Servable not found"),
    ],
    ids=["assertion", "operation", "eager", "other"],
)
def test_of_what_tensorflow_says_the_fault_is_told(detail, fault):
    assert ServerError("INVALID_ARGUMENT", detail).fault == fault


@pytest.mark.parametrize("kind", ["grpc", "http"])
def test_a_server_that_is_silent_or_away_ends_in_time(kind):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"{kind}://127.0.0.1:{silent.getsockname()[1]}/mine"
        with Client(place, timeout_s=0.5) as client:
            # gRPC tells a server that never greets from one that is not there by its deadline.
            with pytest.raises(ServerError, match="no answer within 0.5 s|UNAVAILABLE for 0.5 s"):
                client.versions()
    with Client(place, timeout_s=0.5) as client:
        with pytest.raises(ServerError, match="UNAVAILABLE for 0.5 s: .*Look whether the server"):
            client.versions()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            Answer(body=b"<html>a proxy</html>"),
            "not TensorFlow Serving's: no JSON object but '<html>",
        ),
        (Answer(body=b'{"other": 1}'), "neither model_version_status nor ready"),
        (Answer(status=401, body=b"who are you"), "UNAUTHENTICATED: HTTP status 401 who are"),
        (
            Answer(status=504, body=b"upstream"),
            r"has given up \(HTTP status 504 up",
        ),
        (Answer(status=413), "too large for the server or a proxy .*HTTP status 413, too large"),
        (
            Answer(status=429, body=b'{"error": "OOM when allocating"}'),
            "not the memory for it: OOM",
        ),
        (Answer(body=b'{"model_version_status": [{"state": 1}]}'), "KeyError 'version'"),
        (Answer(stall=5), "no answer within 0.5 s"),
        (Answer(cut=5), "UNAVAILABLE for 0.5 s"),
    ],
    ids=["html", "other", "401", "504", "413", "429", "no version", "stalls", "cut"],
)
def test_answers_that_make_no_sense_are_errors(server, answer, said):
    server.serve("v1/models/mine", b'{"model_version_status": []}', answer)
    with Client(f"{server.url}/mine", timeout_s=0.5) as client:
        with pytest.raises(ServerError, match=said):
            client.versions()


def test_addresses():
    address = address_of("grpcs://host:8500/mine/versions/3/")
    assert (address.host, address.model, address.version) == ("host:8500", "mine", 3)
    address = address_of("https://user:secret@host:8501/mine")
    assert (address.host, address.shown) == ("user:secret@host:8501", "https://host:8501")
    address = address_of("https://host/prefix/v1/models/mine")
    assert (address.prefix, address.model, address.version) == ("/prefix/v1/models", "mine", None)
    assert address_of("http://host:8501").model == ""
    for wrong in ("host:8500", "ftp://host:1/m", "grpc://host/m", "grpc://", "http://h/a/b/c"):
        with pytest.raises(ValueError, match="grpc://HOST:PORT|has no port"):
            Client(wrong)
    for wrong in ("grpc://host:99999/m", "http://host:0/m", "http://host:/m"):
        with pytest.raises(ValueError, match="expected a port from 1 to 65535"):
            Client(wrong)
    for wrong in (
        "grpc://user:secret@host:1/m",
        "ftp://user:secret@host",
        "grpc://u:secret@host",
        "ftp://user:sec@secret@host",
        "ftp://user:#secret@host",
    ):
        with pytest.raises(ValueError, match="server='(grpc|ftp)://host.*'") as info:
            Client(wrong)
        assert "secret" not in str(info.value)
    with pytest.raises(ValueError, match="expected seconds above 0"):
        Client("grpc://host:1/m", timeout_s=0)


def test_sessions_go_with_their_threads(server):
    server.serve("v1/models/mine", b'{"model_version_status": []}')
    with Client(f"{server.url}/mine") as client:
        client.versions()
        for _ in range(20):
            thread = threading.Thread(target=client.versions)
            thread.start()
            thread.join()
        gc.collect()
        assert len(client._transport._sessions) == 1
        assert client.versions() == {}


@pytest.mark.parametrize("name, value", [("x", "secret\n"), ("x y", "secret"), ("x", "sécret")])
def test_headers_that_cannot_be_sent_are_named_without_their_value(name, value):
    with pytest.raises(ValueError, match=f"headers: '{name}' cannot be sent") as raised:
        Client("http://host:1/m", headers={name: value})
    assert "secret" not in str(raised.value)


def test_a_netrc_takes_no_headers_place(server, tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login user password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    server.serve("v1/models/mine", b'{"model_version_status": []}')
    sent = []
    for headers in ({}, {"authorization": "Bearer x"}):
        with Client(f"{server.url}/mine", headers=headers) as client:
            client.versions()
        arrived = {name.lower(): text for name, text in server.requests[-1].headers.items()}
        sent.append(arrived["authorization"].split()[0])
    assert sent == ["Basic", "Bearer"]


@pytest.mark.parametrize(
    ("shape", "limits", "most", "sizes"),
    [
        ((5, 4, 8, 8, 3), {}, None, [5]),
        ((5, 4, 8, 8, 3), {}, 2, [2, 2, 1]),
        ((5, 4, 8, 8, 3), {"max_frames_in_all": 13}, 8, [3, 2]),
        ((2, 4, 8, 8, 3), {"max_frames_in_all": 2}, 8, [1, 1]),
        ((8, 32, 1536, 2048, 3), {"max_frames_in_all": 512}, 8, [3, 3, 2]),  # 2.4 GB
    ],
)
def test_clips_are_asked_for_in_parts_that_a_message_holds(shape, limits, most, sizes):
    clips, seen = np.broadcast_to(np.uint8(0), shape), []

    def ask(part):
        seen.append(len(part))
        return {"embedding": np.full((len(part), 2), len(seen))}

    answer = in_parts(ask, clips, limits, most)
    assert seen == sizes and answer["embedding"].shape == (len(clips), 2)


def test_parts_that_two_models_have_answered_are_no_answer():
    widths = iter((2, 3))
    with pytest.raises(ServerError, match="another model between two parts"):
        in_parts(lambda part: {"x": np.zeros((1, next(widths)))}, np.zeros((2, 1), object), {}, 1)


def test_headers_are_sent_whatever_case_they_are_written_in(server):
    server.serve("v1/models/mine", b'{"model_version_status": []}')
    with Client(f"{server.url}/mine", headers={"Authorization": "Bearer x"}) as client:
        client.versions()
    assert server.requests[-1].headers["authorization"] == "Bearer x"
    with socket.create_server(("127.0.0.1", 0)) as free:
        place = f"grpc://127.0.0.1:{free.getsockname()[1]}/mine"
    with Client(place, timeout_s=0.3, headers={"Authorization": "Bearer x"}) as client:
        with pytest.raises(ServerError, match="UNAVAILABLE"):  # gRPC takes small letters alone
            client.versions()


def test_predict_names_a_server_that_does_not_answer(capsys):
    with socket.create_server(("127.0.0.1", 0)) as free:
        server = f"grpc://127.0.0.1:{free.getsockname()[1]}"
    assert main(["predict", f"--server={server}/mine", "--timeout_s=0.3", "x.mp4"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"r21d predict: error: {server}/mine: UNAVAILABLE for 0.3 s")
    assert len(error.splitlines()) == 1
    assert main(["predict", f"--server={server}", "--model=runs/mine", "x.mp4"]) == 2
    assert "leave --model and --weights out" in capsys.readouterr().err
