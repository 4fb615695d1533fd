"""What lies within blocks is computed again: the same weights and statistics, in less memory."""

import keras
import pytest
import tensorflow as tf

from benchmarks.rematerialization import measured, report
from r21d_keras import VideoResNet
from r21d_keras.training.start import freeze
from tests.loops import BATCH, CLASSES, SHAPE, batches, largest_difference, make_loop

STEPS = {"epochs": 1, "warmup_epochs": 0.0, "schedule": "constant", "momentum": 0.0}
STEPS |= {"weight_decay": 0.0, "gradient_accumulation_steps": 2}


def network(config):
    body = VideoResNet(
        "r2plus1d_10",
        input_shape=SHAPE,
        include_top=False,
        pooling="avg",
        width_multiplier=0.125,
        sync_bn=config.sync_bn,
    )
    features = keras.layers.Dropout(config.dropout, name="dropout")(body.output)
    model = keras.Model(body.input, keras.layers.Dense(CLASSES)(features))
    freeze(model, config.freeze_until)
    return model


def trained(policy="float64", **options):
    loop = make_loop(network, policy, **{"strategy": "one", **STEPS, **options})
    loop.run(lambda epoch: batches(2 * BATCH))
    return loop.model.get_weights()


@pytest.fixture(scope="module")
def plainly():
    """On one replica, in two microbatches a step."""
    return trained()


def test_statistics_of_microbatches(plainly):
    """What accumulating means for batch normalisation: statistics of each microbatch, in turn."""
    loop = make_loop(network, "float64", strategy="one", **STEPS)
    model, rate = loop.model, float(loop.schedule(0))

    @tf.function
    def gradients(clips, labels):
        with tf.GradientTape() as tape:
            logits = tf.cast(model(clips, training=True), tf.float32)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            loss = tf.reduce_sum(losses) / BATCH
        return tape.gradient(loss, model.trainable_variables)

    for clips, labels in batches(2 * BATCH):
        halves = [gradients(clips[i::2], labels[i::2]) for i in range(2)]
        for weight, *parts in zip(model.trainable_variables, *halves, strict=True):
            weight.assign(weight - rate * sum(parts))
    assert largest_difference(model.get_weights(), plainly) < 1e-6


def test_two_replicas_with_blocks_computed_again(plainly):
    """A microbatch has the same clips and statistics on two replicas as on one."""
    weights = trained(rematerialize=True, strategy="mirrored", num_cpu_replicas=2)
    assert largest_difference(weights, plainly) < 1e-6


@pytest.mark.parametrize(
    "options",
    [
        {"policy": "mixed_float16", "precision": "mixed_float16", "dropout": 0.5},
        {"freeze_until": "layer2", "head_epochs": 0, "gradient_accumulation_steps": 1},
    ],
    ids=["in float16 with dropout", "above what is frozen"],
)
def test_one_replica_with_blocks_computed_again(options):
    weights, plain = trained(rematerialize=True, **options), trained(**options)
    assert largest_difference(weights, plain) < 1e-6


def test_a_step_takes_less_memory_and_the_report_says_how_much():
    case = {"variant": "r3d_34", "width_multiplier": 0.125, "clip_frames": 16}
    case |= {"crop_size": 64, "global_batch_size": 64}
    rows = {
        again: {**case, "rematerialize": again, **measured({**case, "rematerialize": again})}
        for again in (True, False)
    }
    less, more = (rows[again]["peak"] - rows[again]["before"] for again in (True, False))
    assert less < 0.75 * more
    line = report(
        {k: {**r, "date": "", "machine": "", "load": 0, "versions": ""} for k, r in rows.items()}
    )
    assert f"| {more:,.0f} | {less:,.0f} |" in line
