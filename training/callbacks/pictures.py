"""curves.png: the history as a picture."""

import time

import keras

from ..run_folder import ModelDir

PICTURE_S = 30.0  # seconds between two drawings of the curves


class Curves(keras.callbacks.Callback):
    """Draws history.csv into curves.png, at the end and now and then before."""

    def __init__(self, folder: ModelDir):
        super().__init__()
        self.folder, self.drawn_s = folder, time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        """Draws if the last picture is old."""
        if time.monotonic() - self.drawn_s > PICTURE_S:
            self._draw()

    def on_train_end(self, logs=None):
        """Draws all of it."""
        self._draw()

    def _draw(self):
        from ..pictures import draw_curves  # matplotlib takes a second to import

        draw_curves(self.folder.history, self.folder.curves)
        self.drawn_s = time.monotonic()
