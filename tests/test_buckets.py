"""S3 and Cloud Storage as TensorFlow speaks to them, with servers on loopback: whole commands."""

import json
import re
import signal
import subprocess
import sys

import pytest
import requests

from r21d_keras.training.records.prepare import prepare
from r21d_keras.training.records.rgb import FrameOptions
from tests import buckets
from tests.conftest import SMALL_RUN
from tests.moody_server import STALLED, WELL
from tests.preparing import plan_of
from tests.waits import until

FILES = """
import sys
from r21d_keras.training.remote import files
from r21d_keras.training.remote.urls import AbsentError

root, here = sys.argv[1:]
body = bytes(range(256)) * 8000
open(here, "wb").write(body)
assert files.names(f"{root}/run", "x") == []
for name in ("x", "a/b/y"):
    files.upload(here, f"{root}/run/{name}")
    files.upload(here, f"{root}/run/{name}")
open(here, "wb").close()
files.upload(here, f"{root}/run/empty")
assert files.names(f"{root}/run", "x") == ["a/b/y", "empty", "x"]
assert files.size(f"{root}/run/x") == len(body) and files.read(f"{root}/run/a/b/y") == body
for start, length in ((0, 10), (5, 700_000), (len(body) - 3, 10), (len(body), 10)):
    part = files.read_range(f"{root}/run/x", start, length, len(body))
    assert part == body[start : start + length], (start, length, len(part))
files.download(f"{root}/run/x", here)
assert open(here, "rb").read() == body
files.download(f"{root}/run/empty", here)
assert open(here, "rb").read() == b"" == files.read(f"{root}/run/empty")
files.remove(f"{root}/run/x")
for name in ("x", "a", "none/none"):
    try:
        files.size(f"{root}/run/{name}")
    except AbsentError as error:
        assert f"{root}/run/{name}: 404" in str(error), error
    else:
        raise AssertionError(name)
sys.exit(7)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_videos):
    folder = tmp_path_factory.mktemp("records")
    prepare(plan_of(tiny_videos, options=FrameOptions(resize_height=36, resize_width=40)), folder)
    return folder


@pytest.fixture(scope="module")
def s3(made):
    buckets.needs_s3()
    with buckets.s3() as server:
        for path in made.iterdir():
            url = f"http://127.0.0.1:{server.upstream}/{buckets.BUCKET}/records/{path.name}"
            requests.put(url, path.read_bytes(), timeout=60).raise_for_status()
        yield server


@pytest.fixture(autouse=True)
def good_mood(request, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    if "s3" in request.fixturenames:
        server = request.getfixturevalue("s3")
        server.mood, server.moods, server.cut = WELL, [], None


def python(server, *arguments, **more):
    environment = buckets.environment(**server.environment, **more)
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def r21d(server, *arguments, **more):
    process = python(server, "-m", "r21d_keras.training.cli", *arguments, **more)
    out, error = process.communicate(timeout=400)
    return process.returncode, out, error


def small(records, model_dir, **more):
    options = {**SMALL_RUN, "random_flip": False, **more}
    flags = [f"--{name}={value}" for name, value in options.items() if not isinstance(value, bool)]
    return ["train", "--recipe=demo", f"--data={records}", f"--model_dir={model_dir}", *flags]


def test_files_in_s3(s3, tmp_path):
    """And the process ends as it wants to: tensorflow-io would abort it there."""
    process = python(s3, "-c", FILES, "s3://bucket/files", tmp_path / "x")
    _, error = process.communicate(timeout=200)
    assert process.returncode == 7, error


def test_files_in_cloud_storage(tmp_path):
    """TensorFlow's own client, on every stack."""
    with buckets.gs(tmp_path) as server:
        process = python(server, "-c", FILES, "gs://bucket/files", tmp_path / "x")
        _, error = process.communicate(timeout=200)
        assert process.returncode == 7, error
        server.mood = 403
        code, _, error = r21d(server, *small("gs://bucket/records", tmp_path / "run"))
        assert code == 1 and "gs://bucket/records/manifest.json: 403, access denied" in error
        assert "GOOGLE_APPLICATION_CREDENTIALS" in error.splitlines()[-1]


def wait_for(server, path, process):
    """Until the process has sent that file."""

    def said():  # its end, if it has come: reading waits for it
        return "" if process.poll() is None else process.stderr.read()

    until(lambda: ("PUT", path) in server.requests, [process], said)


def killed_after(server, arguments, epochs):
    """Trains until the bucket has the state after so many epochs, then kills the process."""
    process = python(server, "-m", "r21d_keras.training.cli", *arguments)
    wait_for(server, f"/bucket/run/checkpoints/ckpt-{epochs}.index", process)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_run_in_s3_that_is_killed_goes_on(s3, made, tmp_path):
    arguments = small("s3://bucket/records", "s3://bucket/run", epochs=4)
    killed_after(s3, arguments, 2)
    (tmp_path / "tmp").mkdir()
    code, _, error = r21d(s3, *arguments, TMPDIR=str(tmp_path / "tmp"))
    assert code == 0, error
    assert "Continuing after epoch" in error
    assert not list((tmp_path / "tmp").glob("r21d*"))  # the copy is gone
    here = r21d(s3, *small(made, tmp_path / "run", epochs=4))
    assert here[0] == 0, here[2]
    script = (
        "import sys; from r21d_keras.training.remote import files;"
        "files.download('s3://bucket/run/final.weights.h5', sys.argv[1])"
    )
    with python(s3, "-c", script, tmp_path / "final.weights.h5") as process:
        assert process.wait() == 0
    from tests.test_remote_runs import same_weights

    assert same_weights(tmp_path / "final.weights.h5", tmp_path / "run" / "final.weights.h5")
    code, out, error = r21d(
        s3, "evaluate", "--model_dir=s3://bucket/run", "--num_clips=2", f"--out={tmp_path / 'out'}"
    )
    assert code == 0 and "2 videos" in out, error
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["source"] == "records"
    code, out, error = r21d(s3, "status", "s3://bucket/run")
    assert code == 0 and "s3://bucket/run: finished" in out, error


@pytest.mark.parametrize(
    ("mood", "told"),
    [
        (403, "403, access denied"),
        (503, "the server is busy, failing or not reached"),
        (STALLED, "no answer within 4 s|not reached"),
    ],
)
def test_a_bucket_that_fails_is_an_error_in_bounded_time(s3, tmp_path, mood, told):
    s3.mood = mood
    code, _, error = r21d(
        s3, *small("s3://bucket/records", tmp_path / "run"), R21D_REMOTE_TIMEOUT_S="4"
    )
    assert code == 1 and re.search(rf"s3://bucket/records/manifest.json: ({told})", error), error
    assert not (tmp_path / "run").exists()


def test_a_bucket_that_fails_in_mid_run_is_an_error(s3):
    arguments = small("s3://bucket/records", "s3://bucket/failing", epochs=60)
    s3.requests.clear()
    process = python(s3, "-m", "r21d_keras.training.cli", *arguments, R21D_REMOTE_TIMEOUT_S="4")
    wait_for(s3, "/bucket/failing/checkpoints/ckpt-1.index", process)
    s3.mood = 503
    _, error = process.communicate(timeout=300)
    assert process.returncode == 1 and "s3://bucket/" in error.splitlines()[-1], error
