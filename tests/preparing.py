"""Preparations for tests: of small videos, by encoders that take their time or crash.

`python tests/preparing.py VIDEOS OUT` prepares by two processes, and slowly: it is to be killed.
"""

import functools
import os
import signal
import sys
import time

from r21d_keras.training.data.catalogued import listed
from r21d_keras.training.data.decoder import VideoError
from r21d_keras.training.data.listings import Places
from r21d_keras.training.records.plan import make_plan
from r21d_keras.training.records.prepare import prepare
from r21d_keras.training.records.rgb import FrameOptions, encode_frames

OPTIONS = FrameOptions(resize_height=24, resize_width=32)


def slow(options, item):
    time.sleep(0.05)
    return encode_frames(options, item)


def crashing(options, item):
    if item.name.endswith("bright_2.mp4"):
        os.kill(os.getpid(), signal.SIGSEGV)
    return encode_frames(options, item)


def padded(options, item):
    """A record of a megabyte more."""
    record, info = encode_frames(options, item)
    return record + bytes(1_000_000), info


def noted(folder, length, item):
    """A record of so many bytes, and a file that says that it was made."""
    (folder / f"{item.name}_{os.getpid()}").touch()
    return bytes(length), {}


def held(folder, item):
    """A record of its name; that of video 1 is never done where it is tried first."""
    tried = folder / item.name
    if item.name == "1" and not tried.exists():
        tried.touch()
        time.sleep(600)
    return item.name.encode(), {}


def failing(*_):
    return 1 / 0


class _Unpicklable:
    """What a new process cannot read."""

    def __reduce__(self):
        return failing, ()


unpicklable = _Unpicklable()


def plan_of(videos, encode=encode_frames, options=OPTIONS, **more):
    """A plan for a folder of videos, three to a shard."""
    encoder = functools.partial(encode, options)
    more = {"videos_per_shard": 3, **more}
    return make_plan(listed("folder", Places(str(videos))), "rgb", encoder, options.as_json, **more)


def contents(folder):
    """The bytes of each file, by name."""
    return {
        path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != ".lock"
    }


def stop_at(videos, out, count):
    """Prepares until `count` videos are done, then fails."""
    done = []

    def encode(options, item):
        done.append(item)
        if len(done) > count:
            raise VideoError(item.path, "is bad.")
        return encode_frames(options, item)

    try:
        prepare(plan_of(videos, encode), out, processes=1)
    except VideoError as error:
        assert f"is bad. {count} videos are done and kept" in str(error)
        return
    raise AssertionError("it went to the end")


if __name__ == "__main__":
    prepare(plan_of(sys.argv[1], slow), sys.argv[2], processes=2)
