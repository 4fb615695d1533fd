"""`r21d status`: words, JSON, codes, at URLs, again and again."""

import functools
import http.server
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import threading
import time

import pytest

from r21d_keras.training import cli
from r21d_keras.training.config import TrainConfig
from r21d_keras.training.run_folder import ModelDir
from r21d_keras.training.state.run_lock import sole_writer
from r21d_keras.training.status import EXIT_CODES
from tests.run_folders import beat, dead_process, run_folder

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture
def folder(tmp_path):
    return run_folder(tmp_path / "run")


@pytest.fixture(scope="module")
def dead():
    return dead_process()


def test_all_of_it_in_words(folder, capsys):
    now_s = time.time()
    beat(folder, began_at=now_s - 7320, beat_at=now_s - 1, moved_at=now_s - 3)
    with sole_writer(folder.root):
        assert cli.main(["status", str(folder.root)]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{folder.root}: training, epoch 3 of 4, step 25 of 100, 56.2 %"
    told = {line[2:12].strip(): line[12:] for line in lines[1:]}
    assert told["speed"] == "41.26 clips/s on 2 replicas, 13 % of the time waiting for clips"
    assert told["left"].startswith("about 1 h 23 min, to ")
    assert told["now"] == "loss 0.75  accuracy 0.625"
    assert told["epoch 2"].startswith("loss 1  accuracy 0.5  learning_rate 0.005  val_loss 1.2")
    assert told["best"] == "val_accuracy 0.5 (epoch 1)"
    assert told["process"].startswith(f"{os.getpid()} on {socket.gethostname()}, for 2 h 2 min; ")


def test_several_runs_and_the_code_of_the_one_to_look_after(folder, tmp_path, capsys, dead):
    other = ModelDir(tmp_path / "other")
    other.write_run(TrainConfig(epochs=4, warmup_epochs=0.0), ("a", "b"))
    beat(other, phase="finished", pid=dead)
    assert cli.main(["status", str(other.root)]) == 0
    beat(folder, pid=dead)
    capsys.readouterr()
    assert cli.main(["status", str(tmp_path)]) == 5
    finished, killed = capsys.readouterr().out.splitlines()
    assert finished.split()[1] == "finished," and killed.split()[1] == "stopped,"
    assert cli.main(["status", "--json", str(other.root), str(folder.root)]) == 5
    facts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(f["state"], f["exit_code"], f["epoch"]) for f in facts] == [
        ("finished", 0, 3),
        ("stopped", 5, 3),
    ]
    assert facts[1]["last"]["val_loss"] == 1.2 and facts[1]["lives"] is False


class Parts(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and heeds Range as servers of files do."""

    def do_GET(self):
        path = pathlib.Path(self.translate_path(self.path))
        if not path.is_file() or not self.headers["Range"]:
            return super().do_GET()
        body = path.read_bytes()
        first, last = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups()
        part = body[int(first) : int(last) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        end = int(first) + len(part) - 1
        self.send_header("Content-Range", f"bytes {first}-{end}/{len(body)}")
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *args):
        pass


@pytest.fixture
def url(tmp_path):
    """That of a server of tmp_path."""
    handler = functools.partial(Parts, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_run_at_a_url(folder, url, capsys, dead):
    """Read as files, without a lock to be seen: it lives by its beats."""
    assert cli.main(["status", f"{url}/run"]) == 5
    beat(folder, host="elsewhere", beat_at=time.time() - 5, moved_at=time.time() - 6)
    assert cli.main(["status", f"{url}/run"]) == 3
    beat(folder, pid=dead)
    assert cli.main(["status", f"{url}/run"]) == 5
    assert cli.main(["status", f"{url}/none"]) == 6
    out = capsys.readouterr().out.replace(url, "URL").splitlines()
    assert out[0].startswith("URL/run: stopped, 2 of 4 epochs done, nothing tells that somebody")
    assert "URL/run: training, epoch 3 of 4, step 25 of 100, 56.2 %" in out
    assert any(line.endswith("was killed while training") for line in out)
    assert out[-1] == "URL/none: not begun"


def test_nothing_there(tmp_path, capsys):
    assert cli.main(["status", str(tmp_path / "absent")]) == EXIT_CODES["not begun"] == 6
    assert capsys.readouterr().out == f"{tmp_path / 'absent'}: not begun\n"
    assert cli.main(["status", str(tmp_path)]) == 6
    assert cli.main(["status"]) == 2
    assert "no run given" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_watch_ends_with_the_run(folder, capsys):
    """In a process of its own, without keras: a look is cheap."""
    beat(folder, beat_at=time.time(), moved_at=time.time())
    code = (
        "import sys; from r21d_keras.training import cli; code = cli.main(sys.argv[1:]);"
        "assert not {'keras', 'tensorflow'} & set(sys.modules); sys.exit(code)"
    )
    command = [sys.executable, "-c", code, "status", "--watch", str(folder.root)]
    with sole_writer(folder.root):
        watch = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        first = watch.stdout.readline()
        beat(folder, beat_at=time.time(), moved_at=time.time(), phase="finished", epoch=4)
    out, _ = watch.communicate(timeout=60)
    assert ": training, epoch 3 of 4" in first
    assert ": finished" in out and watch.returncode == 0
