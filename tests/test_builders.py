"""The builders: all of them by name, what their arguments do, and what they refuse and when."""

import inspect
import logging
import pydoc

import keras
import numpy as np
import pytest

from r21d_keras import VideoResNet, list_variants, zoo
from r21d_keras.zoo.weights import get_weights
from tests import published_files
from tests.published_files import SMALL_CLIP, clips_of, seeded_network

RGB, FLOW, R2D = published_files.small_rows()
TAG = RGB.tag
ARGUMENTS = {
    "weights": None,
    "include_top": True,
    "input_shape": None,
    "pooling": None,
    "num_classes": None,
    "classifier_activation": "softmax",
    "convention": None,
    "name": None,
}


@pytest.fixture(scope="module", autouse=True)
def mirror(tmp_path_factory):
    """A folder with the files of the small rows, and these rows in the table."""
    folder = tmp_path_factory.mktemp("mirror")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("R21D_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("R21D_MIRROR", str(folder))
        rows = [published_files.publish(row, folder) for row in (RGB, FLOW, R2D)]
        published_files.list_rows(patch, *rows)
        yield folder


@pytest.fixture(scope="module")
def pretrained():
    """The network of RGB with its own head, and a clip."""
    return seeded_network(RGB, SMALL_CLIP), clips_of(SMALL_CLIP)


@pytest.fixture
def policy():
    """A function that sets the precision of new layers; that of before comes back."""
    place = keras.config if hasattr(keras, "config") else keras.mixed_precision
    names = ("set_dtype_policy", "set_global_policy")
    put = next(getattr(place, name) for name in names if hasattr(place, name))
    yield put
    put("float32")


@pytest.fixture
def empty_home(tmp_path, monkeypatch):
    """A cache with nothing in it, and nothing to fill it from."""
    monkeypatch.setenv("R21D_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("R21D_MIRROR", str(tmp_path / "no_mirror"))
    return tmp_path / "home"


@pytest.mark.parametrize("variant", list_variants())
def test_every_variant_has_a_builder_that_says_what_it_takes(variant):
    builder = getattr(zoo, variant)
    assert variant in dir(zoo) and variant in zoo.__all__
    assert builder.__name__ == builder.__qualname__ == variant
    parameters = inspect.signature(builder).parameters
    assert {name: given.default for name, given in parameters.items()} == ARGUMENTS
    assert builder.__doc__.startswith("A network, with pretrained weights where")


def test_help_shows_the_arguments_and_the_explanation():
    text = pydoc.render_doc(zoo.r2plus1d_18, renderer=pydoc.plaintext)
    assert "r2plus1d_18(weights: str | " in text and ", include_top: bool = True, " in text
    assert "the classifier starts at random" in text


def test_a_name_that_is_none_of_the_zoos():
    with pytest.raises(AttributeError, match="r21d_keras.zoo.* has no attribute 'resnet_18'"):
        zoo.resnet_18  # noqa: B018


def test_every_name_of_the_zoo_is_there():
    assert all(hasattr(zoo, name) for name in dir(zoo))


def test_without_weights_a_builder_is_video_resnet(empty_home):
    keras.utils.set_random_seed(0)
    model = zoo.mc2_10()
    keras.utils.set_random_seed(0)
    expected = VideoResNet("mc2_10", 400, (16, 112, 112, 3), convention="paper")
    assert model.get_config() == expected.get_config() and model.name == "mc2_10"
    for ours, theirs in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not empty_home.exists()


def test_arguments_reach_the_network_without_weights():
    model = zoo.r2plus1d_10(
        None, False, (4, 24, 32, 2), "max", convention="torchvision", name="flow_features"
    )
    assert model.name == "flow_features"
    assert model.input_shape == (None, 4, 24, 32, 2) and model.output_shape == (None, 512)
    # Of the block's 64 channels in and 128 out; the paper's rule gives 288 for the second half.
    assert model.get_layer("layer2.0.conv2.0").spatial.filters == 230


def test_a_tag_gives_the_published_network(pretrained):
    expected, clips = pretrained
    model = zoo.r2plus1d_10(TAG, input_shape=SMALL_CLIP, classifier_activation=None)
    assert model.name == "r2plus1d_10"
    assert_same_weights(model, expected)
    np.testing.assert_allclose(model(clips), expected(clips), atol=1e-5)
    probabilities = zoo.r2plus1d_10(TAG, input_shape=SMALL_CLIP, name="mine")(clips)
    np.testing.assert_allclose(probabilities, keras.activations.softmax(expected(clips)), atol=1e-6)


@pytest.mark.parametrize("of", [lambda row: row, lambda row: row.name, lambda row: row.tag])
def test_weights_are_a_row_or_its_name_or_its_tag(of, pretrained):
    model, clips = pretrained
    built = getattr(zoo, RGB.variant)(of(get_weights(RGB.variant, TAG)), input_shape=SMALL_CLIP)
    assert built.output_shape == (None, RGB.num_classes)
    head = [model.layers[-1].get_weights()[0], built.layers[-1].get_weights()[0]]
    np.testing.assert_array_equal(*head)


@pytest.mark.parametrize("of", [lambda row: row, lambda row: row.name])
def test_weights_of_another_variant_are_refused(of, empty_home):
    with pytest.raises(
        ValueError,
        match=f"{R2D.variant}; expected some of {RGB.variant}. Take the network {R2D.variant}",
    ):
        getattr(zoo, RGB.variant)(of(get_weights(R2D.variant, R2D.tag)))


def test_weights_are_exact_whatever_the_users_precision(pretrained, tmp_path, monkeypatch, policy):
    monkeypatch.setenv("R21D_HOME", str(tmp_path / "home"))  # so that it is converted here
    builder = getattr(zoo, RGB.variant)
    policy("float16")
    half = builder(TAG, input_shape=SMALL_CLIP)
    policy("float32")
    single = builder(TAG, input_shape=SMALL_CLIP)
    for low, high in zip(half.get_weights(), single.get_weights(), strict=True):
        np.testing.assert_array_equal(low, high.astype(low.dtype))
    expected = pretrained[0].get_weights()
    for ours, theirs in zip(single.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_clip_is_that_of_the_weights_unless_another_is_given():
    assert zoo.r2plus1d_10(TAG).input_shape == (None, *RGB.input_shape)
    assert zoo.r2d_10(R2D.tag).input_shape == (None, *R2D.input_shape)


def test_kinetics400_is_the_variants_best_row(pretrained):
    assert get_weights("r2plus1d_10", "kinetics400").tag == TAG
    assert_same_weights(zoo.r2plus1d_10("kinetics400", input_shape=SMALL_CLIP), pretrained[0])


def test_a_folder_with_the_name_of_a_tag_is_in_nobodys_way(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for tag in ("kinetics400", TAG):
        (tmp_path / tag).mkdir()
        assert zoo.r2plus1d_10(tag, input_shape=SMALL_CLIP).output_shape == (None, 400)


@pytest.mark.parametrize("shape", [(8, 48, 40, 3), (5, 33, 31, 3), (None, None, None, 3)], ids=str)
def test_clips_of_other_sizes(shape, pretrained):
    expected, clips = pretrained
    model = zoo.r2plus1d_10(TAG, input_shape=shape, classifier_activation=None)
    assert_same_weights(model, expected)
    assert model.input_shape == (None, *shape)
    if shape[0] is None:
        np.testing.assert_allclose(model(clips), expected(clips), atol=1e-5)
    other = clips_of((8, 48, 40, 3)) if shape[0] is None else clips_of(shape)
    assert np.isfinite(model(other)).all()


def test_another_number_of_classes_gets_a_new_head_and_says_so(pretrained, caplog):
    with caplog.at_level(logging.WARNING, "r21d_keras.zoo"):
        model = zoo.r2plus1d_10(TAG, num_classes=7, input_shape=SMALL_CLIP)
    (message,) = caplog.messages
    assert message == (
        f"r2plus1d_10.{TAG} has a classifier of 400 classes, which is left out; that of these 7 "
        "starts at random."
    )
    assert model.output_shape == (None, 7) and model.name == "r2plus1d_10"
    np.testing.assert_allclose(np.sum(model(pretrained[1])), 1.0, atol=1e-5)
    kernel, bias = model.get_layer("fc").get_weights()
    assert 0.005 < kernel.std() < 0.02 and not bias.any()
    assert_same_weights(model, pretrained[0], but=2)


@pytest.mark.parametrize("options", [{}, {"num_classes": 400}, {"include_top": False}], ids=str)
def test_nothing_is_said_where_nothing_is_left_out(options, caplog):
    with caplog.at_level(logging.WARNING, "r21d_keras.zoo"):
        zoo.r2plus1d_10(TAG, input_shape=SMALL_CLIP, **options)
    assert not caplog.messages


@pytest.mark.parametrize("pooling", [None, "avg", "max"])
def test_features_are_those_of_the_body(pooling, pretrained):
    network, clips = pretrained
    body = keras.Model(network.input, network.get_layer("avgpool").input)
    features = np.asarray(body(clips))  # (1, T', H', W', 512)
    if pooling:
        features = {"avg": features.mean, "max": features.max}[pooling]((1, 2, 3))
    model = zoo.r2plus1d_10(TAG, include_top=False, pooling=pooling, input_shape=SMALL_CLIP)
    assert not [layer for layer in model.layers if layer.name == "fc"]
    np.testing.assert_allclose(model(clips), features, atol=1e-5)


def test_flow_and_video_are_not_taken_for_each_other(empty_home):
    with pytest.raises(ValueError, match="takes 2 channels .*flow.* got .*3.* Pass .*112, 112, 2"):
        zoo.r2plus1d_10(FLOW.tag, input_shape=(32, 112, 112, 3))
    with pytest.raises(ValueError, match=r"takes 3 channels \(RGB\); got .* Pass .*4, 24, 32, 3"):
        zoo.r2plus1d_10(TAG, input_shape=(4, 24, 32, 2))
    assert not empty_home.exists()


def test_flow():
    shape = (*SMALL_CLIP[:3], 2)
    model = zoo.r2plus1d_10(FLOW.tag, input_shape=shape, classifier_activation=None)
    expected = seeded_network(FLOW, shape)
    np.testing.assert_allclose(model(clips_of(shape)), expected(clips_of(shape)), atol=1e-5)


def test_r2d_takes_clips_of_its_own_length_alone(empty_home):
    with pytest.raises(ValueError, match=r"clips of 8 frames.* got .*\(16, 1.* Pass .*\(8, 112"):
        zoo.r2d_10(R2D.tag, input_shape=(16, 112, 112, 3))
    with pytest.raises(ValueError, match="clips of 8 frames"):
        zoo.r2d_10(R2D.tag, input_shape=(None, 112, 112, 3))
    assert not empty_home.exists()


def test_r2d_with_frames_of_another_size():
    shape = (8, 24, 32, 3)
    model = zoo.r2d_10(R2D.tag, input_shape=shape, classifier_activation=None)
    expected = seeded_network(R2D, shape)
    np.testing.assert_allclose(model(clips_of(shape)), expected(clips_of(shape)), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "avg"}, "pooling='avg' is for include_top=False"),
        ({"include_top": False, "pooling": "mean"}, "pooling='mean': expected None, avg, max"),
        ({"num_classes": 0}, "num_classes=0: expected a positive int"),
        ({"input_shape": (16, 112, 112)}, "input_shape=.*expected .frames, height, width, chan"),
        ({"input_shape": (16, 112, 0, 3)}, "input_shape=.*expected .frames, height, width, chan"),
        ({"convention": "torchvision"}, "r2plus1d_10.* has 'paper'. Give that one"),
        ({"weights": "kinetics400_16"}, f"Did you mean '{TAG}'.* Known: {TAG}, .*weights=None"),
        ({"weights": "imagenet"}, f"Unknown weights 'imagenet' for r2plus1d_10.* Known: {TAG}"),
    ],
    ids=str,
)
def test_what_cannot_be_is_said_before_anything_is_fetched(options, message, empty_home):
    with pytest.raises(ValueError, match=message):
        zoo.r2plus1d_10(**{"weights": TAG, **options})
    assert not empty_home.exists()


def test_a_variant_without_published_weights_says_which_have_some():
    with pytest.raises(ValueError, match="none of mc5_101 here, but some of .*mc5_18"):
        zoo.mc5_101("kinetics400")


def test_the_rows_own_convention_may_be_said():
    assert zoo.r2plus1d_10(TAG, convention="paper", input_shape=SMALL_CLIP).count_params()


def test_a_file_that_cannot_be_got_says_where_to_put_it(empty_home, monkeypatch):
    monkeypatch.delenv("R21D_MIRROR")
    monkeypatch.setenv("R21D_OFFLINE", "1")
    with pytest.raises(OSError, match=f"{RGB.file_name} .*by hand.*put it at .*downloads"):
        zoo.r2plus1d_10(TAG)


def test_a_pretrained_network_with_a_head_of_its_own_is_an_ordinary_model(tmp_path, pretrained):
    model = zoo.r2plus1d_10(TAG, num_classes=5, input_shape=SMALL_CLIP)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(pretrained[1], np.array([3]), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_same_weights(loaded, model)
    np.testing.assert_allclose(loaded(pretrained[1]), model(pretrained[1]), atol=1e-6)


def assert_same_weights(model, expected, but=0):
    """All weights equal, but the last `but`: those of the classifier."""
    ours, theirs = model.get_weights(), expected.get_weights()
    assert len(ours) == len(theirs)
    for a, b in zip(ours[: len(ours) - but], theirs, strict=False):
        np.testing.assert_array_equal(a, b)
