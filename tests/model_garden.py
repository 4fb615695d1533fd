"""Reads records with the TF Model Garden's own code: `python tests/model_garden.py FOLDER OUT`.

In a process of its own, because of what importing it warns of. OUT is an .npz file of the decoder's
and the parser's answers; exit code 77 where the Model Garden is not installed.
"""

import glob
import sys

import numpy as np
import tensorflow as tf

try:
    from official.vision.configs.video_classification import DataConfig
    from official.vision.dataloaders import video_input
except ImportError as error:
    print(error)
    sys.exit(77)


def main(folder: str, out: str) -> None:
    decoder, parsed, raw = video_input.Decoder(), {}, []
    numbers = {"feature_shape": (4, 32, 32, 3), "temporal_stride": 2, "min_image_size": 36}
    config = DataConfig(**numbers, num_classes=2, one_hot=True, is_training=False)
    parser = video_input.Parser(config)
    for subset in ("train", "test"):
        files = sorted(glob.glob(f"{folder}/{subset}-*"))
        for record in tf.data.TFRecordDataset(files):
            tensors = decoder.decode(record)
            frames = tf.map_fn(
                tf.io.decode_jpeg, tensors["image/encoded"], fn_output_signature="uint8"
            )
            raw.append((subset, tensors["clip/label/index"].numpy(), frames.numpy()))
        dataset = tf.data.TFRecordDataset(files).map(decoder.decode)
        for is_training in (True, False):
            batches = dataset.map(parser.parse_fn(is_training)).batch(2)
            parsed[f"{subset}_{is_training}"] = np.concatenate([f["image"] for f, _ in batches])
            parsed[f"{subset}_{is_training}_labels"] = np.concatenate([y for _, y in batches])
    subsets, labels, frames = zip(*raw, strict=True)
    np.savez(out, subsets=subsets, labels=labels, frames=frames, **parsed)


if __name__ == "__main__":
    main(*sys.argv[1:])
