"""Caffe2 weights as VMZ publishes them: a pickle of {"blobs": {name: array}} by Python 2."""

from r21d_keras.zoo.errors import CheckpointError

from .numpy_names import Array, numpy_names
from .unpickler import CONTAINERS, unpickle


def read_caffe2_pickle(data) -> dict:
    """{blob name: array} of a pickle of {"blobs": {...}}, or of the inner dict alone.

    Names are those in the file. What is no array is passed over (VMZ's `epoch`, `best_metric`).
    The arrays are read-only views of `data`.

    Raises:
        CheckpointError: if the pickle is damaged, holds anything but arrays and plain values, or
            no array.
    """
    data = memoryview(data)
    value, end = unpickle(data, CONTAINERS | numpy_names(len(data)))
    if end != len(data):
        raise CheckpointError(
            f"its pickle ends at byte {end} of {len(data)}: the file is damaged, or not one of "
            "Caffe2's. Get it again."
        )
    blobs = value.get("blobs", value) if isinstance(value, dict) else value
    if not isinstance(blobs, dict):
        raise CheckpointError(
            f"a pickle of a {type(blobs).__name__}; expected a dict of arrays as Caffe2 code "
            'saves it, {"blobs": {name: array}}.'
        )
    arrays = {str(name): blob.array for name, blob in blobs.items() if isinstance(blob, Array)}
    if not arrays or any(array is None for array in arrays.values()):
        raise CheckpointError(
            f"a pickled dict of {len(blobs)} entries of which {len(arrays)} are arrays, some "
            "perhaps without data; expected {name: array}."
        )
    return arrays
