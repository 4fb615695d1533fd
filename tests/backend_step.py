"""A forward pass and a `fit` step on the Keras backend that KERAS_BACKEND names; prints JSON.

Run by test_backends.py in a process of its own: a backend is chosen once, on import of keras.
"""

import json
import sys

import keras
import numpy as np

from r21d_keras import VideoResNet
from tests.seeded import CLIP_SHAPE, NUM_CLASSES, seeded_clips


def main(weights_folder, names):
    """Logits before, loss of the step, and how far the step moved the first kernel."""
    results = {"backend": keras.backend.backend(), "tensorflow": "tensorflow" in sys.modules}
    for name in names:
        model = VideoResNet(name, NUM_CLASSES, CLIP_SHAPE, classifier_activation=None)
        model.load_weights(f"{weights_folder}/{name}.weights.h5")
        clips, before = np.repeat(seeded_clips(), 2, axis=0), model.get_weights()[0]
        logits = model.predict(clips, verbose=0)[0]
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss=loss)
        step = model.fit(clips, np.array([1, 2]), batch_size=2, verbose=0).history["loss"][0]
        moved = float(np.abs(model.get_weights()[0] - before).max())
        results[name] = {"logits": logits.tolist(), "loss": float(step), "moved": moved}
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
