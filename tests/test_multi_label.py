"""Videos with several labels: what the network is to answer, the loss, and a training on it."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.data.pipeline import targets, train_batches
from r21d_keras.training.data.video_set import Files, VideoSet
from r21d_keras.training.optimization.losses import cross_entropy, means, sums
from r21d_keras.training.state.resume import describe_data
from r21d_keras.training.train import train
from r21d_keras.zoo.labels import load_labels
from tests.loops import BATCH, CLASSES, examples, largest_difference, linear_model, make_loop

OPTIONS = {"variant": "f_r2d_10", "dataset": "sports1m", "clips_per_epoch": 0, "epochs": 1}
SETS = ((0,), (1, 2), (2, 0, 1))


def video_set(label_sets=SETS):
    names = tuple(map(str, range(len(label_sets))))
    labels = tuple(labels[0] for labels in label_sets)
    return VideoSet("x", ("a", "b", "c"), names, labels, Files(names), label_sets=label_sets)


def test_targets_are_equal_shares_of_the_label_set():
    target = targets(video_set())
    found = [target(tf.constant(index)).numpy() for index in range(3)]
    np.testing.assert_allclose(found, [[1, 0, 0], [0, 0.5, 0.5], [1 / 3] * 3], rtol=1e-6)
    assert targets(video_set(()))(tf.constant([], tf.int32)).dtype == tf.int32


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_is_keras_cross_entropy_with_the_shares(smoothing):
    logits = np.random.default_rng(0).normal(size=(3, 3)).astype("float32")
    shares = tf.stack([targets(video_set())(index) for index in range(3)])
    expected = keras.losses.CategoricalCrossentropy(True, smoothing, reduction="none")
    losses = cross_entropy(shares, tf.constant(logits), smoothing)
    np.testing.assert_allclose(losses, expected(shares, logits), rtol=1e-5)


def test_one_label_as_a_share_is_that_label():
    logits = tf.random.stateless_normal((5, 3), (1, 2))
    labels = tf.constant([0, 2, 1, 1, 0])
    both = []
    for shown in (labels, tf.one_hot(labels, 3)):
        losses = cross_entropy(shown, logits, 0.1)
        both.append([*losses.numpy(), *sums(shown, logits, losses).numpy()])
    np.testing.assert_allclose(*both, rtol=1e-6)


def test_any_label_of_the_set_is_right():
    logits = tf.constant([[0.0, 2.0, 1.0], [0.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    shares = tf.constant([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [1.0, 0.0, 0.0]])
    losses = cross_entropy(shares, logits, 0.0)
    assert means(sums(shares, logits, losses).numpy())["accuracy"] == pytest.approx(2 / 3)


def test_replicas_agree_on_several_labels():
    """13 examples: a batch of 8 and one of 5, cut between the replicas."""
    clips, labels = examples(13)
    shares = 0.5 * np.eye(CLASSES)[labels] + 0.5 * np.eye(CLASSES)[(labels + 1) % CLASSES]
    data = tf.data.Dataset.from_tensor_slices((clips, shares.astype("float32"))).batch(BATCH)
    ends, logs = [], []
    for strategy in ("one", "mirrored"):
        loop = make_loop(linear_model, strategy=strategy, num_cpu_replicas=2, epochs=2)
        logs.append(loop.run(lambda epoch: data, lambda loop=loop: loop.evaluate(data)))
        ends.append(loop.model.get_weights())
    assert largest_difference(*ends) < 1e-6
    assert logs[0] == pytest.approx(logs[1], rel=1e-5)


@pytest.fixture
def sports(tmp_path, tiny_videos):
    """Sports-1M with three classes: bright videos have the second and third of them."""
    folder, lines = tmp_path / "sports", {"train": [], "test": []}
    folder.mkdir()
    for kind, labels in (("bright", "3,1"), ("dark", "0")):
        for number in range(5):
            name = f"{kind}_{number}".ljust(11, "-")
            shutil.copy(tiny_videos / kind / f"{kind}_{number}.mp4", folder / f"{name}.mp4")
            subset = "test" if number == 4 else "train"
            lines[subset].append(f"https://www.youtube.com/watch?v={name} {labels}\n")
    for subset, text in lines.items():
        (folder / f"{subset}_partition.txt").write_text("".join(text), "utf-8")
    return folder


def test_sports1m_trains_on_label_sets(sports, make_config):
    config = make_config(videos=str(sports), splits=str(sports), label_smoothing=0.1)
    result = train(config)
    assert 0.0 <= result["val_accuracy"] <= 1.0 and np.isfinite(result["loss"])
    videos = load_dataset(config, "train")
    names = load_labels("sports1m")
    assert videos.classes == (names[0], names[1], names[3])
    _, shares = next(iter(train_batches(videos, config, 0).unbatch().batch(8)))
    found = {tuple(row) for row in shares.numpy()}
    assert found == {(1.0, 0.0, 0.0), (0.0, 0.5, 0.5)}


def test_other_label_sets_are_other_data():
    first, second = (describe_data({"train": video_set(x)}) for x in (SETS, SETS[:2] + ((2,),)))
    assert first != second
