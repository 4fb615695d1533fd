"""Where chance comes from: for each use of it generators that depend on whole numbers alone."""

import numpy as np

USES = {"training_clip": 1, "epoch_order": 2, "motion_file": 3}
"""A number for each use. What is drawn depends on it: see motion.VERSION before changing one."""


def generator(use: str, *key: int) -> np.random.Generator:
    """The generator of one `use`, a row of USES, and one `key` of numbers from 0 to 2**32 - 1.

    No other use and no other key of the same length has the same seed. Lengths alone would not
    tell uses apart: numpy fills short seeds up with zeros and splits larger numbers, so that
    [5, 1], [5, 1, 0] and [5 + 2**32] are one seed. Hence the use comes first.

    Raises:
        ValueError: a number out of range.
    """
    if not all(0 <= number < 2**32 for number in key):
        raise ValueError(f"{use}: key {key}; expected whole numbers from 0 to 2**32 - 1.")
    return np.random.default_rng([USES[use], *key])
