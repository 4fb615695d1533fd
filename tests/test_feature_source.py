"""Networks to take features from: which clips they are shown, and what is refused and when."""

import dataclasses
import shutil

import keras
import numpy as np
import pytest

from r21d_keras import VideoResNet, zoo
from r21d_keras.training.data.frames import ClipSpec
from r21d_keras.training.data.video_set import read_test_clips
from r21d_keras.training.feature_options import FeatureOptions
from r21d_keras.training.feature_source import FeatureSource, from_run, from_zoo
from r21d_keras.training.features import write_features
from r21d_keras.training.flow.methods import clip_flow
from r21d_keras.zoo.cache import weights_file
from r21d_keras.zoo.checkpoints.convert import convert_checkpoint
from r21d_keras.zoo.preprocessing import KINETICS, Preprocessing, preprocess_input
from tests import published_files
from tests.published_files import seeded_network

SMALL = FeatureOptions(num_clips=2, clip_frames=4, crop_size=32)
# GluonCV's numbers: another mean, and a shorter side instead of a size.
OTHER = Preprocessing(resize=40, crop_size=32, mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3))
RGB, FLOW, R2D = published_files.small_rows()
ASPECT = dataclasses.replace(
    RGB,
    tag="kinetics400_4f",
    file_name="aspect.pkl",
    preprocessing=OTHER,
    input_shape=(4, 32, 32, 3),
)


@pytest.fixture(scope="module", autouse=True)
def mirror(tmp_path_factory):
    """A folder with the files of the small rows, and these rows in the table."""
    folder = tmp_path_factory.mktemp("mirror")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("R21D_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("R21D_MIRROR", str(folder))
        rows = [published_files.publish(row, folder) for row in (RGB, FLOW, R2D, ASPECT)]
        published_files.list_rows(patch, *rows)
        yield folder


@pytest.fixture(scope="module")
def videos(tmp_path_factory, encode_video):
    """A wide video and a tall one."""
    folder, draw = tmp_path_factory.mktemp("videos"), np.random.default_rng(0)
    paths = []
    for name, size in (("wide", (48, 80)), ("tall", (96, 48))):
        frames = draw.integers(0, 256, (12, size[0] // 16, size[1] // 16, 3), np.uint8)
        frames = frames.repeat(16, axis=1).repeat(16, axis=2)
        paths.append(str(encode_video(folder / f"{name}.mp4", frames)))
    return paths


def taken(source, videos, out, options):
    write_features(source, videos, out, options)
    with np.load(out) as file:
        return dict(file)


def test_a_tag_is_shown_what_its_row_says(videos, tmp_path):
    options = FeatureOptions(num_clips=2, layers=("fc", "avgpool"))
    source = from_zoo(ASPECT.variant, ASPECT.tag, options)
    assert (source.name, source.clip_frames) == (ASPECT.name, 4) and source.preprocessing == OTHER
    found = taken(source, videos, tmp_path / "f.npz", options)
    network = seeded_network(ASPECT, ASPECT.input_shape)
    for place, (video, size) in enumerate(zip(videos, [(40, 66), (80, 40)], strict=True)):
        sized = dataclasses.replace(OTHER, resize=size, crop_size=min(size))
        clips = read_test_clips(video, 2, ClipSpec(num_frames=4, preprocessing=sized))
        clips = preprocess_input(clips, dataclasses.replace(OTHER, resize=clips.shape[2:4]))
        expected = network(clips)
        np.testing.assert_allclose(found["fc"][place], expected, atol=1e-3, rtol=1e-3)


def test_the_alias_and_the_rows_own_numbers():
    source = from_zoo(RGB.variant, "kinetics400", FeatureOptions())
    assert source.name == RGB.name and source.preprocessing == RGB.preprocessing
    assert source.model.input_shape == (None, *RGB.input_shape)


def test_files_of_published_weights_are_known(mirror, tmp_path):
    """The authors' file, what it was converted to here, and what its owner converted it to."""
    original, mine = mirror / ASPECT.file_name, tmp_path / "mine.weights.h5"
    row = zoo.get_weights(ASPECT.variant, ASPECT.tag)
    convert_checkpoint(original, mine)
    for path in (original, weights_file(row), mine):
        source = from_zoo(ASPECT.variant, str(path), FeatureOptions())
        assert source.preprocessing == OTHER and source.clip_frames == 4
        assert source.model.input_shape == (None, 4, 32, 32, 3)


def test_other_files_are_shown_kinetics_clips_and_the_log_says_so(mirror, tmp_path, log):
    path = tmp_path / "somebodys.pkl"
    shutil.copy(mirror / RGB.file_name, path)
    source = from_zoo(RGB.variant, str(path), FeatureOptions())
    assert source.preprocessing == KINETICS and source.clip_frames == 16
    assert "somebodys.pkl: video is prepared as for Kinetics" in log.text


def test_a_file_gives_what_its_network_gives(videos, tmp_path):
    keras.utils.set_random_seed(3)
    network = VideoResNet("f_r2d_10", 7, (4, 32, 32, 3), convention="torchvision")
    path = tmp_path / "mine.weights.h5"
    network.save_weights(str(path))
    options = dataclasses.replace(SMALL, layers=("layer4", "fc"))
    source = from_zoo("f_r2d_10", str(path), options, "torchvision")
    found = taken(source, videos, tmp_path / "f.npz", options)
    spec = ClipSpec(num_frames=4, preprocessing=source.preprocessing)
    clips = preprocess_input(
        read_test_clips(videos[0], 2, spec), Preprocessing(resize=(32, 32), crop_size=32)
    )
    expected = network(clips).numpy()
    scores = np.exp(found["fc"][0])  # logits
    np.testing.assert_allclose(scores / scores.sum(1, keepdims=True), expected, atol=1e-5)


def test_weights_for_flow_are_shown_that_of_the_videos(videos, tmp_path):
    options = FeatureOptions(num_clips=2, layers=("fc",), clip_frames=4, crop_size=32)
    source = from_zoo(FLOW.variant, FLOW.tag, options)
    assert (source.flow_method, source.clip_frames) == ("farneback", 4)
    found = taken(source, videos[:1], tmp_path / "f.npz", options)
    raw = dataclasses.replace(KINETICS, resize=(128, 171), crop_size=32)
    clips = read_test_clips(videos[0], 2, ClipSpec(num_frames=5, preprocessing=raw))
    numbers = dataclasses.replace(FLOW.preprocessing, crop_size=32)
    clips = preprocess_input(clip_flow(clips, "farneback"), numbers)
    expected = seeded_network(FLOW, clips.shape[1:])(clips)
    np.testing.assert_allclose(found["fc"][0], expected, atol=1e-3, rtol=1e-3)


def test_channels_that_are_neither_video_nor_flow_are_refused(tmp_path):
    path = tmp_path / "depth.weights.h5"
    VideoResNet("mc3_10", 7, (4, 32, 32, 5)).save_weights(str(path))
    path.with_name("depth.json").write_text('{"input_shape": [4, 32, 32, 5]}', "utf-8")
    with pytest.raises(ValueError, match="takes clips of 5 channels; expected 3, RGB, or 2, opt"):
        from_zoo("mc3_10", str(path), SMALL)


def test_weights_without_a_classifier(videos, tmp_path):
    body = VideoResNet("mc3_10", 7, (4, 32, 32, 3), include_top=False)
    path = tmp_path / "body.weights.h5"
    body.save_weights(str(path))
    found = taken(from_zoo("mc3_10", str(path), SMALL), videos, tmp_path / "f.npz", SMALL)
    assert found["avgpool"].shape == (2, 2, 512)


def test_nothing_is_fetched_for_what_is_refused(tmp_path, monkeypatch, videos):
    monkeypatch.setenv("R21D_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("R21D_MIRROR", str(tmp_path))
    with pytest.raises(ValueError, match="r2d_10 takes clips .* here 8. Leave --clip_frames out"):
        from_zoo(R2D.variant, R2D.tag, SMALL)
    with pytest.raises(ValueError, match="crop_size=200 does not fit .*171.* no more than 128"):
        from_zoo(RGB.variant, RGB.tag, FeatureOptions(crop_size=200))
    with pytest.raises(ValueError, match="crop_size=41 does not fit .* no more than 40"):
        from_zoo(ASPECT.variant, ASPECT.tag, FeatureOptions(crop_size=41))
    with pytest.raises(ValueError, match="Unknown weights 'imagenet' [^=]*$"):
        from_zoo(RGB.variant, "imagenet", FeatureOptions())
    source = from_zoo(RGB.variant, RGB.tag, SMALL)
    with pytest.raises(ValueError, match="has no layer 'nothing'"):
        options = dataclasses.replace(SMALL, layers=("nothing",))
        write_features(source, videos, tmp_path / "f.npz", options)
    with pytest.raises(ValueError, match="missing.mp4"):
        write_features(source, ["missing.mp4"], tmp_path / "f.npz", SMALL)
    assert not (tmp_path / "home").exists()


def test_a_run_is_shown_what_it_was_trained_on_unless_asked(tiny_run):
    run = tiny_run(clip_frames=5, short_video="repeat_last")
    source = from_run(run, FeatureOptions())
    assert (source.clip_frames, source.short_video) == (5, "repeat_last")
    assert source.model.input_shape == (None, 5, 32, 32, 3)
    changed = from_run(run, SMALL, "best")
    assert changed.name.endswith("best.weights.h5")
    assert changed.model.input_shape == (None, 4, 32, 32, 3)
    changed.load()


def test_a_run_refuses_what_does_not_fit_it(tiny_run, tmp_path):
    run = tiny_run(variant="r2d_10")
    with pytest.raises(ValueError, match="clip_frames=5: r2d_10 takes clips of the length .* 4"):
        from_run(run, FeatureOptions(clip_frames=5))
    with pytest.raises(ValueError, match="crop_size=64 does not fit in frames of 36x40"):
        from_run(run, FeatureOptions(crop_size=64))
    with pytest.raises(ValueError, match="holds no training run"):
        from_run(tmp_path, FeatureOptions())
    (run / "best.weights.h5").unlink()
    with pytest.raises(ValueError, match="best.weights.h5 does not exist. Continue the run"):
        from_run(run, FeatureOptions(), "best")


def test_weights_that_are_broken_are_found(tiny_run, videos, tmp_path):
    source = from_run(tiny_run(), SMALL)

    def load():
        source.model.set_weights([np.full(w.shape, np.nan) for w in source.model.get_weights()])

    broken = dataclasses.replace(source, load=load)
    with pytest.raises(ValueError, match="features are not finite"):
        write_features(broken, videos, tmp_path / "f.npz", SMALL)
    assert isinstance(broken, FeatureSource) and not (tmp_path / "f.npz").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool": "max"}, "pool='max': expected one of avg, none"),
        ({"on_bad_video": "check"}, "on_bad_video='check': expected one of stop, skip"),
        ({"layers": ()}, "layers=.*expected names"),
        ({"layers": "layer3"}, "layers='layer3': expected names"),
        ({"num_clips": 0}, "num_clips=0: expected a number above 0"),
        ({"frame_rate": float("inf")}, "frame_rate=inf"),
    ],
    ids=str,
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        FeatureOptions(**options)
