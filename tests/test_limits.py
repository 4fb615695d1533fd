"""How much a request may hold: bounded by what the network sees, never below what is warmed up."""

from hypothesis import given
from hypothesis import strategies as st

from r21d_keras.training.serving.client import BATCH_SIZE
from r21d_keras.training.serving.deployment import BATCH_SIZES
from r21d_keras.training.serving.limits import limits_of


def test_published_networks():
    assert (limits_of(16, 112).max_frames, limits_of(16, 112).max_frames_in_all) == (64, 512)
    assert limits_of(32, 224).max_frames_in_all == 256  # 8 clips, not 512 / 4 frames
    assert limits_of(8, 32).max_frames == 512


@given(clip_frames=st.integers(1, 2000), side=st.integers(8, 2048))
def test_what_is_answered_alone_is_answered_in_a_batch(clip_frames, side):
    limits = limits_of(clip_frames, side)
    assert clip_frames <= limits.max_frames
    assert max(BATCH_SIZE, *BATCH_SIZES) * limits.max_frames <= limits.max_frames_in_all
    seen = limits.max_frames_in_all * side**2
    assert seen <= max(512 * 112**2, BATCH_SIZE * clip_frames * side**2)
