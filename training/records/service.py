"""Training clips from records, read and decoded by the workers of a tf.data service.

These run TensorFlow and no Python of ours. So which bytes, frames and square make up a clip is
worked out here, by the code that reads clips in other trainings, and done there.
"""

import contextlib
import functools
import queue
import socket
import threading
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from r21d_keras.clips import random_start

from ..config import ConfigError, TrainConfig
from ..data.augmentation_options import Augmentation
from ..data.draws import generator
from ..data.frames import ClipSpec
from ..data.pipeline import BadVideos, clip_spec, epoch_order, normalise, targets
from ..data.video_set import VideoSet
from ..distribution.lost import WorkerLostError
from ..distribution.slices import Part
from .keys import IMAGE
from .reader import RecordSource, frame_places
from .tfrecord import HEAD

PLACE = ("shard", "start", "length", "top", "left", "mirrored", "video")
"""What is said of a clip, int64 each: bytes of its record, square, index; then come its frames."""
VIDEO = PLACE.index("video")

BLOCK = 64  # steps that the service is told of at once, and that may wait here for an earlier one

_ASK_S = 5.0  # in which the dispatcher has to take a call
_END_S = 2.0  # in which a thread ends, unless the service is gone
_UNREADABLE = (tf.errors.InvalidArgumentError, tf.errors.NotFoundError, tf.errors.DataLossError)
_PLAIN = (Augmentation(random_flip=False), Augmentation(random_flip=True))


def check_service(videos: VideoSet, config: TrainConfig) -> None:
    """Checks that a tf.data service can give the clips of `videos`, and that there is one.

    Raises:
        ConfigError: no records of RGB, or not of the size of training; more is drawn of a clip than
            its time, square and mirror image; nobody listens at config.data_service.
    """
    who, spec = f"data_service={config.data_service!r}", clip_spec(videos, config)
    if type(videos.source) is not RecordSource or spec.flow_method:
        raise ConfigError(f"{who} reads records of RGB for --stream=rgb; give --records.")
    if spec.augmentation not in _PLAIN:
        raise ConfigError(f"{who} mirrors and crops clips alone; take out the other augmentations.")
    numbers = config.preprocessing
    for record in videos.source.records:
        size = (record.height, record.width)
        if numbers.resized(*size) != size:
            raise ConfigError(
                f"{who} does not resize: {record.name} is kept at {size[0]}x{size[1]} and wanted "
                f"at {config.resize_height}x{config.resize_width}. Prepare records of this size."
            )
    host, _, port = config.data_service.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _ASK_S).close()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{who}: no dispatcher answers there ({error}). Expected host:port of a "
            "tf.data.experimental.service.DispatchServer."
        ) from None


def service_batches(
    videos: VideoSet,
    config: TrainConfig,
    epoch: int,
    bad_videos: BadVideos,
    first_step: int,
    part: Part,
) -> tf.data.Dataset:
    """The batches that `pipeline.train_batches` gives for `part`, in the same order.

    A record that cannot be decoded ends the data with TensorFlow's error. Checksums of records are
    not looked at. Steps that do not come in config.worker_timeout_s, as when a worker of the
    service was killed, end it too, and `bad_videos.fatal` is the WorkerLostError.
    """
    epoch = _Epoch(videos, config, epoch, part, bad_videos)
    target = targets(videos)

    def finished(clips, index, size):
        labels = tf.map_fn(target, index, fn_output_signature=target(tf.constant(0)).dtype)
        ones = tf.ones([tf.shape(clips)[0]])
        return normalise(clips, config.preprocessing), labels, ones, size

    signature = (
        tf.TensorSpec((None, *config.clip_shape), tf.uint8),
        tf.TensorSpec((None,), tf.int32),
        tf.TensorSpec((), tf.int64),
    )
    batches = functools.partial(epoch.batches, first_step)
    return (
        tf.data.Dataset.from_generator(batches, output_signature=signature)
        .map(finished, num_parallel_calls=2, deterministic=True)
        .prefetch(2)
        .apply(tf.data.experimental.assert_cardinality(epoch.num_steps - first_step))
    )


class _Epoch:
    """What a process needs of an epoch, a block of steps after the other from the service."""

    def __init__(self, videos, config: TrainConfig, epoch: int, part: Part, bad_videos: BadVideos):
        self._bad_videos = bad_videos
        self._source, self._config, self._epoch, self._part = videos.source, config, epoch, part
        self._spec, self._order = clip_spec(videos, config), epoch_order(videos, config, epoch)
        self._read = _reader(videos.source.shard_paths, self._spec)
        self.num_steps = -(-len(self._order) // config.global_batch_size)

    def batches(self, first_step: int) -> Iterator[tuple]:
        """Of each step its clips, uint8, their videos, and the size of the global batch."""
        firsts = range(first_step, self.num_steps, BLOCK)
        blocks = [range(first, min(first + BLOCK, self.num_steps)) for first in firsts]
        with contextlib.ExitStack() as held:
            begun = self._begun(blocks[0], held) if blocks else None
            for following in [*blocks[1:], None]:
                sizes, rows, clips = begun
                if following:  # the service works at it while this one is used up
                    begun = self._begun(following, held)
                for step, decoded in enumerate(self._in_order(clips, len(rows))):
                    yield decoded, rows[step, : len(decoded), VIDEO].astype(np.int32), sizes[step]

    def _begun(self, steps: range, held: contextlib.ExitStack):
        """Sizes of global batches, rows of the plan, and what comes of them from the service."""
        batch, count = self._config.global_batch_size, len(self._order)
        sizes = np.array([min(batch, count - step * batch) for step in steps], np.int64)
        bounds = [self._part.bounds(int(size)) for size in sizes]
        counts = np.array([end - first for first, end in bounds], np.int64)
        shape = (len(steps), counts.max(), len(PLACE) + self._spec.num_frames)
        rows = np.zeros(shape, np.int64)
        for row, step, (first, end) in zip(rows, steps, bounds, strict=True):
            for i, example in enumerate(range(step * batch + first, step * batch + end)):
                row[i] = self._told(example)
        fetched = _Fetched(self._remote(rows, counts))
        held.callback(fetched.close)
        return sizes, rows, fetched

    def _in_order(self, fetched: "_Fetched", steps: int) -> Iterator[np.ndarray]:
        """Clips of the steps 0 to `steps`; they come as workers of the service have done them."""
        waiting, wait_s = {}, self._config.worker_timeout_s
        for wanted in range(steps):
            while wanted not in waiting:
                try:
                    found = fetched.get(timeout=wait_s)
                except queue.Empty:
                    found = WorkerLostError(f"nothing has come for worker_timeout_s={wait_s:g}")
                if isinstance(found, Exception):
                    raise self._lost(found)
                waiting[found[0]] = found[1]
            yield waiting.pop(wanted)

    def _lost(self, error: Exception) -> Exception:
        reason = str(error).strip().splitlines()[0]
        service = f"The tf.data service at {self._config.data_service}"
        if isinstance(error, _UNREADABLE):
            fatal = ConfigError(
                f"{service} cannot read the records: {reason}. They have to be under the same path "
                "where its workers run; `r21d prepare --verify` looks them over."
            )
        else:
            fatal = WorkerLostError(
                f"{service} has not given all clips: {reason}. Start its workers again, then the "
                "training: it goes on from its last checkpoint."
            )
        self._bad_videos.fatal = fatal
        return fatal

    def _told(self, example: int) -> list[int]:
        draw = generator("training_clip", self._config.seed, self._epoch, example)
        return _told(self._source, int(self._order[example]), self._spec, draw)

    def _remote(self, rows: np.ndarray, counts: np.ndarray) -> tf.data.Dataset:
        """Steps and their clips, each once, by whichever worker of the service is free."""
        service = tf.data.experimental.service
        dataset = tf.data.Dataset.from_tensor_slices((np.arange(len(rows)), rows, counts))
        dataset = dataset.map(
            lambda step, row, count: (
                step,
                tf.map_fn(self._read, row[:count], fn_output_signature=tf.uint8),
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        at = f"grpc://{self._config.data_service}"
        return dataset.apply(service.distribute(service.ShardingPolicy.DYNAMIC, at))


def _told(source: RecordSource, index: int, spec: ClipSpec, draw: np.random.Generator) -> list[int]:
    """A row of PLACE and frames: what `VideoSet.clip_at` would draw of video `index`."""
    record, rate = source.records[index], spec.preprocessing.frame_rate
    starts_s = [random_start(record.duration_s, spec.num_frames, rate, draw)]
    source.check_starts(index, starts_s)
    frames = frame_places(record, starts_s, spec.num_frames, rate, spec.short_video)[0]
    # Where its crop is, and whether it is mirrored, is seen of a picture whose pixels say where
    # they are.
    seen = spec.augmented(_grid(record.height, record.width), draw)[0]
    (top, left), (_, right) = seen[0, 0, :2], seen[0, -1, :2]
    bytes_from = record.offset + HEAD.size
    place = (record.shard, bytes_from, record.length, top, min(left, right), left > right, index)
    return [*map(int, place), *map(int, frames)]


@functools.lru_cache(8)
def _grid(height: int, width: int) -> np.ndarray:
    """(1, H, W, 3): the row and the column of each pixel."""
    rows, columns = np.indices((height, width))
    return np.stack([rows, columns, columns], axis=-1)[None]


def _reader(paths: tuple[str, ...], spec: ClipSpec):
    """A function in TensorFlow alone from a row to its clip, uint8 (T, S, S, 3)."""
    lengths = tf.constant([tf.io.gfile.stat(path).length for path in paths], tf.int64)
    paths, side = tf.constant(paths), spec.preprocessing.crop_size

    def decode(jpeg):  # as OpenCV does, to the bit
        return tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE")

    def read(row):
        shard, start, length, top, left, mirrored, _ = tf.unstack(row[: len(PLACE)])
        rest = tf.gather(lengths, shard) - start - length
        # The only reader of TensorFlow's that begins amid a file: a file of one record.
        file = tf.data.FixedLengthRecordDataset(tf.gather(paths, shard), length, start, rest)
        features = {IMAGE: tf.io.FixedLenSequenceFeature([], tf.string)}
        record = file.take(1).get_single_element()
        _, found = tf.io.parse_single_sequence_example(record, sequence_features=features)
        jpegs = tf.gather(found[IMAGE], row[len(PLACE) :])
        clip = tf.map_fn(decode, jpegs, fn_output_signature=tf.uint8)
        clip = clip[:, top : top + side, left : left + side]
        clip = tf.cond(mirrored > 0, lambda: tf.reverse(clip, [2]), lambda: clip)
        return tf.ensure_shape(clip, (spec.num_frames, side, side, 3))

    return read


class _Fetched:
    """Elements (step, clips) of a dataset as they come, by a thread: TensorFlow may wait for ever.

    Where the service is gone the thread stays in TensorFlow until the process ends.
    """

    def __init__(self, dataset: tf.data.Dataset):
        self._found, self._over = queue.Queue(maxsize=2), threading.Event()
        self._thread = threading.Thread(
            target=self._fetch, args=[dataset], name="data service", daemon=True
        )
        self._thread.start()

    def get(self, timeout: float) -> tuple[int, np.ndarray] | Exception:
        """The next one, or what has ended them.

        Raises:
            queue.Empty: nothing has come for so many seconds.
        """
        return self._found.get(timeout=timeout)

    def close(self) -> None:
        """Nobody gets any more: the thread ends once it has what it has asked for."""
        self._over.set()
        with contextlib.suppress(queue.Empty):  # it may wait for room
            while True:
                self._found.get_nowait()
        # Python may not end while it frees what it has of TensorFlow's.
        self._thread.join(_END_S)

    def _fetch(self, dataset: tf.data.Dataset) -> None:
        try:
            for step, clips in dataset:
                self._found.put((int(step), clips.numpy()))
                if self._over.is_set():
                    return
            self._found.put(EOFError("a worker of it has ended with steps undone"))
        except tf.errors.OpError as error:
            self._found.put(error)
