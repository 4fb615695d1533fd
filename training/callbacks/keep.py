"""The best weights and the state, kept at the end of each epoch."""

import keras

from ..loop import Loop
from ..model_dir import save_weights
from ..run_folder import ModelDir
from ..state.checkpoints import RunState


class KeepState(keras.callbacks.Callback):
    """Keeps the best weights by val_accuracy, then the state. To be the last but for pictures."""

    def __init__(self, loop: Loop, state: RunState, folder: ModelDir):
        super().__init__()
        self.loop, self.state, self.folder = loop, state, folder

    def on_epoch_end(self, epoch, logs=None):
        """Saves what is better than before, and where the run stands."""
        accuracy = (logs or {}).get("val_accuracy", -1.0)
        if accuracy > float(self.state.best_accuracy):
            self.state.best_accuracy.assign(accuracy)
            with self.loop.final_weights() as model:
                save_weights(model, self.folder.weights("best"))
        self.state.save(epoch + 1)
