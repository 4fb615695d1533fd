"""Named recipes: their learning rates are the published ones, their weights the right ones."""

import pathlib
import re

import pytest

from r21d_keras.training.config import ConfigError, TrainConfig, to_json
from r21d_keras.training.data.pipeline import clips_in_epoch
from r21d_keras.training.data.video_set import Files, VideoSet
from r21d_keras.training.optimization.schedule import make_schedule
from r21d_keras.training.recipes import RECIPES, resolve

ROOT = pathlib.Path(__file__).parent.parent
SMALL = {"default", "demo", "ucf101_small_cpu"}  # in the README
KINETICS_VIDEOS = 240_000  # about as many as the paper's authors had


def rates(config, steps_per_epoch, epochs):
    """The learning rate of the last step of each of `epochs`, counted from 1."""
    schedule = make_schedule(config, steps_per_epoch)
    return [float(schedule(epoch * steps_per_epoch - 1)) for epoch in epochs]


# Published: rate of a GPU, clips of a GPU, number of GPUs, and what comes of them.
@pytest.mark.parametrize(
    "recipe, per_gpu, clips, gpus, peak",
    [
        ("kinetics_scratch", 0.01, 32, 1, 0.01),
        ("kinetics_scratch", 0.01, 32, 64, 0.64),
        ("sports1m_to_kinetics", 0.001, 32, 64, 0.064),
        ("ucf101_finetune", 1e-4, 4, 8, 8e-4),
        ("ucf101_finetune", 1e-4, 4, 1, 1e-4),
        ("hmdb51_finetune", 2e-4, 4, 8, 1.6e-3),
        ("torchvision", 0.01, 24, 64, 0.64),
    ],
)
def test_the_rate_is_the_published_one_for_any_number_of_gpus(recipe, per_gpu, clips, gpus, peak):
    config = resolve(recipe, overrides={"global_batch_size": clips * gpus})
    assert make_schedule(config, 100).get_config()["peak"] == pytest.approx(peak, rel=1e-12)
    assert (config.base_learning_rate, config.base_batch_size) == (per_gpu, clips)


@pytest.mark.parametrize("recipe, batch", [("ucf101_finetune", 32), ("hmdb51_finetune", 32)])
def test_fine_tuning_has_the_published_batch_of_all_gpus(recipe, batch):
    config = resolve(recipe)
    assert config.global_batch_size == batch
    assert (config.variant, config.clip_frames, config.epochs) == ("r2plus1d_34", 32, 8)
    assert config.weight_decay == 0.005 and config.nesterov and not config.sync_bn


def test_kinetics_warms_up_for_ten_epochs_and_falls_at_20_30_and_40():
    for recipe in ("kinetics_scratch", "torchvision"):
        config = resolve(recipe)
        found = rates(config, 1000, (1, 5, 10, 20, 21, 30, 31, 40, 41, 45))
        shares = [0.1, 0.5, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
        assert found == pytest.approx([0.01 * share for share in shares], rel=1e-5)
        assert config.epochs == 45
        assert float(make_schedule(config, 1000)(0)) == pytest.approx(0.01 / 10_000)


@pytest.mark.parametrize(
    "recipe, every, epochs, peak",
    [
        ("ucf101_finetune", 2, 8, 8e-4),
        ("hmdb51_finetune", 2, 8, 1.6e-3),
        ("sports1m_to_kinetics", 4, 15, 1e-3),
    ],
)
def test_fine_tuning_falls_to_a_tenth_every_few_epochs_from_its_first(recipe, every, epochs, peak):
    config = resolve(recipe)
    found = rates(config, 50, range(1, epochs + 1))
    assert found == pytest.approx([peak * 0.1 ** (n // every) for n in range(epochs)], rel=1e-5)
    assert config.epochs == epochs


@pytest.mark.parametrize(
    "recipe, clips",
    [
        ("kinetics_scratch", 1_000_000),
        ("sports1m_to_kinetics", 1_000_000),
        ("ucf101_finetune", 100_000),
        ("hmdb51_finetune", 40_000),
        ("torchvision", 5 * KINETICS_VIDEOS),
    ],
)
def test_epochs_have_the_published_number_of_clips(recipe, clips):
    names = tuple(map(str, range(KINETICS_VIDEOS)))
    videos = VideoSet("x", ("a", "b"), names, (0, 1) * (KINETICS_VIDEOS // 2), Files(names))
    assert clips_in_epoch(videos, resolve(recipe)) == clips


@pytest.mark.parametrize(
    "recipe, options, tag",
    [
        ("ucf101_finetune", {}, "kinetics400_32f"),
        ("ucf101_finetune", {"weights": "kinetics400", "split": 1}, "kinetics400_32f"),
        ("hmdb51_finetune", {"weights": "kinetics400"}, "kinetics400_32f"),
        ("hmdb51_finetune", {"stream": "flow"}, "kinetics400_32f_flow"),
        ("ucf101_finetune", {"weights": "sports1m_kinetics400_32f"}, "sports1m_kinetics400_32f"),
        ("ucf101_finetune", {"weights": "kinetics400", "clip_frames": 8}, "ig65m_kinetics400_8f"),
        ("default", {"weights": "kinetics400"}, "kinetics400_16f_gluoncv"),  # the alias, as in zoo
        ("default", {"weights": "kinetics400", "clip_frames": 8}, "kinetics400_8f"),
        ("default", {"weights": "none"}, "none"),
    ],
)
def test_weights_by_data_set_are_those_of_the_clip_length_and_stream(recipe, options, tag):
    config = resolve(recipe, overrides=options)
    assert config.weights == tag
    assert len(config.mean) == (2 if options.get("stream") == "flow" else 3)


@pytest.mark.parametrize("recipe", ["finetune", "finetune_large", "linear_probe"])
def test_recipes_for_ones_own_videos_take_flow_with_the_network_that_has_weights(recipe):
    options = {"stream": "flow", "variant": "r2plus1d_34", "weights": "kinetics400"}
    config = resolve(recipe, overrides={**options, "clip_frames": 32})
    assert (config.weights, config.clip_shape) == ("kinetics400_32f_flow", (32, 112, 112, 2))
    assert resolve(recipe, overrides=options).weights == "sports1m_kinetics400_32f_flow"
    with pytest.raises(ConfigError, match="--channels=2` names"):
        resolve(recipe, overrides={"stream": "flow"})


def test_weights_of_a_stream_without_any_are_refused_with_where_to_look():
    options = {"variant": "r2plus1d_152", "stream": "flow"}
    with pytest.raises(ConfigError, match="none of r2plus1d_152 for stream='flow'.*--channels=2"):
        resolve("ucf101_finetune", overrides=options)


def write_run(folder, **options):
    config = TrainConfig(**{"dataset": "folder", "model_dir": str(folder), **options})
    folder.mkdir()
    pathlib.Path(folder, "config.json").write_text(to_json(config), "utf-8")
    return str(folder)


def test_a_run_hands_on_its_network_and_what_it_has_seen(tmp_path):
    mean = (0.5, 0.4, 0.3)
    run = write_run(
        tmp_path / "run",
        variant="mc3_18",
        convention="torchvision",
        width_multiplier=0.5,
        clip_frames=8,
        frame_rate=10.0,
        mean=mean,
    )
    config = resolve(overrides={"init_from": run, "clip_frames": 32})
    assert (config.variant, config.convention, config.width_multiplier) == (
        "mc3_18",
        "torchvision",
        0.5,
    )
    assert (config.clip_frames, config.frame_rate, config.mean) == (32, 10.0, mean)
    # The network is the run's, whatever the recipe's; the recipe's numbers and weights' place stay.
    config = resolve("ucf101_finetune", overrides={"init_from": run})
    assert (config.variant, config.clip_frames, config.frame_rate) == ("mc3_18", 32, 25.0)
    assert (config.weights, config.mean, config.weight_decay) == ("none", mean, 0.005)


def test_a_run_of_flow_hands_on_its_stream(tmp_path):
    run = write_run(tmp_path / "run", stream="flow", mean=(0.1, 0.2), std=(1.0, 1.1))
    config = resolve(overrides={"init_from": run})
    assert (config.stream, config.mean, config.std) == ("flow", (0.1, 0.2), (1.0, 1.1))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"weights": "kinetics400"}, "expected one of them"),
        ({"init_from": "", "weights": "best"}, "Known: [^=]* Use --weights=none for random ones"),
        ({"init_from": "", "weights": "r3d_18.kinetics400"}, "Take the network r3d_18, or another"),
        ({"init_from": "absent"}, "init_from='absent' holds no training run"),
        ({"epochs": 3, "head_epochs": 4, "warmup_epochs": 0}, "head_epochs=4 is more than epochs"),
        ({"epochs": 3, "head_epochs": 2, "warmup_epochs": 2}, "epochs=3 less head_epochs=2"),
        ({"head_epochs": 1, "init_from": ""}, "head_epochs=1 with weights='none'"),
    ],
)
def test_what_does_not_go_together_is_said(tmp_path, options, message):
    run = write_run(tmp_path / "run")
    with pytest.raises(ConfigError, match=message):
        resolve(overrides={"init_from": run, **options})


def test_a_classifier_alone_has_no_warm_up_to_fit_in(tmp_path):
    options = {"init_from": write_run(tmp_path / "run"), "epochs": 4, "head_epochs": 4}
    schedule = make_schedule(resolve(overrides=options), 10)
    assert [float(schedule(step)) for step in (0, 39)] == pytest.approx([0.01, 0.01])


def test_the_table_of_recipes_is_not_stale():
    text = (ROOT / "docs" / "fine_tuning.md").read_text("utf-8")
    row = r"^\| `(\w+)` \| [^|]* \| (?:random|`(\w+)`) \| ([\d.]+) at (\d+) clips[^|]* \| (\d+)"
    found = re.findall(row, text, re.MULTILINE)
    assert {name for name, *_ in found} == set(RECIPES) - SMALL
    for name, weights, rate, clips, epochs in found:
        config = resolve(name)
        probe = config.head_factor if config.head_epochs == config.epochs else 1.0
        assert config.base_learning_rate * probe == pytest.approx(float(rate)), name
        assert (config.base_batch_size, config.epochs) == (int(clips), int(epochs)), name
        assert config.weights.startswith(weights or "none"), name
