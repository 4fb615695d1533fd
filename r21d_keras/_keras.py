"""Everything in which Keras 2.15 and Keras 3 differ. No other file asks for a version."""

import keras

KERAS3 = int(keras.__version__.split(".")[0]) >= 3
