import keras
import numpy as np
import pytest
import tensorflow as tf

from r21d_keras._keras import backend_variable, scaled_loss
from r21d_keras.training.loop import DivergedError
from r21d_keras.training.state.place import Place
from tests.loops import (
    BATCH,
    CLASSES,
    SHAPE,
    Recorder,
    batches,
    examples,
    largest_difference,
    linear_model,
    make_loop,
)

# 32 examples are full batches of 8; 29 end with one of 5; 25 with a single example.
EPOCHS = (32, 29, 25)


@pytest.fixture(scope="module", params=["one", "mirrored"])
def trained(request):
    """A loop that has trained on EPOCHS with one replica and with two, and what it recorded.

    In float64: in float32 rounding alone turns the sign of one activation or another before a
    ReLU, and the weights part by more than is allowed here.
    """
    loop = make_loop(policy="float64", strategy=request.param, num_cpu_replicas=2, ema_decay=0.9)
    recorder = Recorder()
    loop.run(lambda epoch: batches(EPOCHS[epoch]), lambda: loop.evaluate(batches(25)), [recorder])
    return loop, recorder


def test_each_kind_of_call_is_traced_once(trained):
    assert trained[0].num_traces == 2  # one for training, one for evaluation


def test_callbacks_are_called_as_in_fit(trained):
    epoch = ["from 0", "to 2", "from 3", "to 3"]
    expected = ["train"] + [c for i in range(3) for c in (f"epoch {i}", *epoch)] + ["end"]
    assert trained[1].calls == expected


def test_logs_of_an_epoch(trained):
    loop, recorder = trained
    names = {"loss", "accuracy", "learning_rate", "val_loss", "val_accuracy"}
    assert all(set(logs) == names for logs in recorder.logs)
    assert recorder.logs[0]["learning_rate"] == pytest.approx(0.004 * BATCH / 32)
    assert loop.steps_done.numpy() == 12


def test_evaluation_counts_each_example_once(trained):
    loop, _ = trained
    clips, labels = examples(25)
    with loop.final_weights() as model:
        logits = model.predict(clips, verbose=0)
    losses = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)
    result = loop.evaluate(batches(25))
    assert result["loss"] == pytest.approx(float(losses), rel=1e-4)
    assert result["accuracy"] == pytest.approx(float((logits.argmax(-1) == labels).mean()))


def test_an_epoch_equals_a_plain_loop_over_whole_batches(trained):
    """Batch losses are means over the real batch, also the last one's; L2 comes on top."""
    _, recorder = trained
    loop = make_loop(policy="float64", strategy="one")
    model, optimizer = loop.model, loop.optimizer
    kernels = [w for w in model.trainable_weights if len(w.shape) > 1]

    @tf.function(reduce_retracing=True)
    def step(clips, labels):
        with tf.GradientTape() as tape:
            logits = tf.cast(model(clips, training=True), tf.float32)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            )
            decay = loop.config.weight_decay
            squares = sum(tf.reduce_sum(tf.square(kernel)) for kernel in kernels)
            loss += tf.cast(decay / 2 * squares, tf.float32)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    for count, weights in zip(EPOCHS, recorder.weights, strict=True):
        for clips, labels in batches(count):
            step(clips, labels)
            loop.steps_done.assign_add(1)  # on which the learning rate depends
        assert largest_difference(model.get_weights(), weights) < 1e-5


def test_replicas_agree_in_float32_where_steps_are_small():
    """On the real network; 13 examples are a batch of 8 and one of 5."""
    weights = []
    for strategy in ("one", "mirrored"):
        options = {"base_learning_rate": 2e-5, "warmup_epochs": 0.0, "schedule": "constant"}
        loop = make_loop(strategy=strategy, num_cpu_replicas=2, epochs=2, **options)
        before = [weight.numpy() for weight in loop.model.trainable_weights]
        loop.run(lambda epoch: batches(13))
        weights.append(loop.model.get_weights())
    after = [weight.numpy() for weight in loop.model.trainable_weights]
    assert largest_difference(*weights) < 1e-5 < largest_difference(before, after)


def test_dropout_does_not_depend_on_the_replicas_but_on_the_step():
    weights = []
    for dropout, strategy in ((0.5, "one"), (0.5, "mirrored"), (0.0, "one")):
        recorder = Recorder()
        loop = make_loop(linear_model, dropout=dropout, strategy=strategy, num_cpu_replicas=2)
        loop.run(lambda epoch: batches(EPOCHS[epoch]), callbacks=[recorder])
        weights.append(recorder.weights[-1])
    assert largest_difference(weights[0], weights[1]) < 1e-6
    assert largest_difference(weights[0], weights[2]) > 1e-5


def test_two_replicas_without_synchronised_statistics_still_count_each_example_once():
    loop = make_loop(num_cpu_replicas=2, sync_bn=False, epochs=1)
    logs = loop.run(lambda epoch: batches(9), lambda: loop.evaluate(batches(9)))
    assert np.isfinite(logs["loss"]) and logs["accuracy"] * 9 == pytest.approx(
        round(logs["accuracy"] * 9)
    )


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_reduced_precision_learns_in_float32_weights(precision):
    options = {"strategy": "one", "epochs": 1, "warmup_epochs": 0.0, "label_smoothing": 0.1}
    loop = make_loop(policy=precision, precision=precision, **options)
    before = [weight.numpy() for weight in loop.model.trainable_weights]
    logs = loop.run(lambda epoch: batches(16))
    after = [weight.numpy() for weight in loop.model.trainable_weights]
    assert np.isfinite(logs["loss"])
    assert all(weight.dtype == np.float32 for weight in after)
    assert 1e-6 < largest_difference(before, after) < 10


def loss_scale(loop):
    return float(scaled_loss(loop.optimizer, tf.constant(1.0)))


@pytest.mark.parametrize("bad_half", [slice(0, 4), slice(4, 8)])
def test_an_overflow_on_one_replica_skips_the_step_on_all(bad_half):
    loop = make_loop(
        linear_model,
        policy="mixed_float16",
        precision="mixed_float16",
        num_cpu_replicas=2,
        epochs=1,
        warmup_epochs=0.0,
        weight_decay=0.0,
    )
    before, scale = loop.model.get_weights(), loss_scale(loop)
    clips = np.full((BATCH, *SHAPE), 0.01, "float32")
    clips[bad_half] = 12.0  # times the loss scale, 2**15, more than float16 holds
    labels = np.zeros(BATCH, "int32")
    data = tf.data.Dataset.from_tensor_slices((clips, labels)).batch(BATCH)
    loop.run(lambda epoch: data)
    assert loss_scale(loop) == scale / 2
    for weight, value in zip(loop.model.weights, before, strict=True):
        for replica in loop.strategy.experimental_local_results(backend_variable(weight)):
            np.testing.assert_array_equal(replica.numpy(), value)
    loop.place = Place()
    loop.run(lambda epoch: data.repeat(20))  # the scale falls until nothing overflows
    for weight in loop.model.weights:
        left, right = loop.strategy.experimental_local_results(backend_variable(weight))
        np.testing.assert_array_equal(left.numpy(), right.numpy())
        assert np.isfinite(left.numpy()).all()
    assert largest_difference(before, loop.model.get_weights()) > 1e-4


def test_the_loss_is_that_of_keras_with_label_smoothing():
    """The log of a first step, whose forward pass is of the weights before it."""
    loop = make_loop(linear_model, label_smoothing=0.3, strategy="one", epochs=1)
    clips, labels = examples(BATCH)
    kernel = backend_variable(loop.model.trainable_weights[0])
    kernel.assign(100.0 * kernel)  # logits that smoothing makes a difference to
    logits = loop.model(clips).numpy()
    expected = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.3)
    loss = loop.run(lambda epoch: batches(BATCH))["loss"]
    assert loss == pytest.approx(float(expected(np.eye(CLASSES)[labels], logits)), rel=1e-5)
    plain = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert abs(loss - float(plain(labels, logits))) > 1e-2


def test_a_loss_that_is_not_finite_ends_the_run():
    loop = make_loop(linear_model)
    bad = examples(8)
    bad[0][3] = np.nan
    data = batches(24).concatenate(tf.data.Dataset.from_tensor_slices(bad).batch(BATCH))
    with pytest.raises(DivergedError, match=r"no number in epoch 1, step 4 .*rate") as error:
        loop.run(lambda epoch: data)
    assert (error.value.epoch, error.value.step) == (0, 3)


@pytest.mark.parametrize(
    "scale, message", [(1.0, "val_loss became inf"), (1e4, "A weight became infinite")]
)
def test_a_run_that_diverges_in_its_last_call_ends_before_anything_is_kept(scale, message):
    """The last step's own loss is of the weights before it."""
    options = {"epochs": 1, "warmup_epochs": 0.0, "base_learning_rate": 1.2e39, "weight_decay": 0.0}
    loop, recorder = make_loop(linear_model, strategy="one", **options), Recorder()
    data = batches(8).map(lambda clips, labels: (scale * clips, labels))
    with pytest.raises(DivergedError, match=rf"{message}.* in epoch 1.* \(learning rate"):
        loop.run(lambda epoch: data, lambda: loop.evaluate(data), [recorder])
    assert recorder.logs == []


def test_a_callback_can_stop_the_run():
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    loop, recorder = make_loop(linear_model), Recorder()
    loop.run(lambda epoch: batches(8), callbacks=[Stop(), recorder])
    assert [c for c in recorder.calls if c.startswith("epoch")] == ["epoch 0", "epoch 1"]


def test_a_data_set_of_unknown_length_is_refused():
    loop = make_loop(linear_model)
    with pytest.raises(ValueError, match="known number of batches"):
        loop.run(lambda epoch: batches(8).filter(lambda clips, labels: True))
