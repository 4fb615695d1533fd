"""The best weights, kept at the end of an epoch, and the state, also amid one."""

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

    def on_train_batch_end(self, batch, logs=None):
        """Saves where the run stands, each time so many steps are done."""
        interval = self.loop.config.checkpoint_interval
        if interval and int(self.loop.steps_done.numpy()) % interval == 0:
            self.state.save()

    def on_epoch_end(self, epoch, logs=None):
        """Saves what is better than before, and where the run stands."""
        if self.state.better((logs or {}).get("val_accuracy", -1.0)):
            with self.loop.final_weights() as model:
                save_weights(model, self.folder.weights("best"))
        self.state.save()
