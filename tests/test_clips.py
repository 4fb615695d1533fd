import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from r21d_keras import clips

durations = st.floats(0.01, 1e4)
lengths = st.integers(1, 64)
rates = st.sampled_from([1.0, 12.5, 15.0, 24.0, 25.0, 30000 / 1001, 30.0, 60.0])


def on_the_grid(starts_s, frame_rate):
    places = np.asarray(starts_s) * frame_rate
    return np.abs(places - np.rint(places)).max() < 1e-6


@given(st.floats(0, 1e4), lengths, rates)
def test_frame_times_are_the_middles_of_frames(start_s, num_frames, frame_rate):
    times = clips.frame_times(start_s, num_frames, frame_rate)
    assert times.shape == (num_frames,) and times.dtype == np.float64
    np.testing.assert_allclose((times - start_s) * frame_rate, np.arange(num_frames) + 0.5, 1e-6)


@given(st.integers(0, 1000), lengths, rates)
def test_a_file_of_the_same_rate_gives_every_frame_once(first, num_frames, frame_rate):
    times = clips.frame_times(first / frame_rate, num_frames, frame_rate)
    shown = np.floor(times * frame_rate)
    np.testing.assert_array_equal(shown, first + np.arange(num_frames))


@given(durations, lengths, rates, st.integers(0, 2**32))
def test_random_start_keeps_the_clip_in_the_video(duration_s, num_frames, frame_rate, seed):
    start = clips.random_start(duration_s, num_frames, frame_rate, np.random.default_rng(seed))
    again = clips.random_start(duration_s, num_frames, frame_rate, np.random.default_rng(seed))
    slack = duration_s - clips.clip_seconds(num_frames, frame_rate)
    assert start == again and 0 <= start <= max(slack, 0) + 1e-6
    assert on_the_grid([start], frame_rate)


def test_random_start_is_uniform():
    draw = np.random.default_rng(0)
    starts = np.array([clips.random_start(10.0, 15, 15.0, draw) for _ in range(4000)])
    assert len(np.unique(starts)) == 9 * 15 + 1 and starts.max() == 9.0
    counts, _ = np.histogram(starts, bins=9, range=(0, 9))
    assert counts.min() > 370 and counts.max() < 520  # 444 expected, standard deviation 20


@given(durations, lengths, rates, st.integers(2, 20))
def test_uniform_starts_cover_the_video(duration_s, num_frames, frame_rate, num_clips):
    starts = clips.uniform_starts(duration_s, num_frames, frame_rate, num_clips)
    length = clips.clip_seconds(num_frames, frame_rate)
    assert starts.shape == (num_clips,) and starts[0] == 0
    end_s = starts[-1] + length
    assert -1e-6 <= max(duration_s, length) - end_s < 1 / frame_rate + 1e-6
    even = np.linspace(0, starts[-1], num_clips)
    assert np.abs(starts - even).max() <= 0.5 / frame_rate + 1e-9
    assert on_the_grid(starts, frame_rate)


def test_uniform_starts_of_one_clip_is_the_middle():
    np.testing.assert_array_equal(clips.uniform_starts(10.0, 30, 15.0, 1), [4.0])
    np.testing.assert_array_equal(clips.uniform_starts(10.0, 30, 25.0, 1), [4.4])
    np.testing.assert_array_equal(clips.uniform_starts(1.0, 30, 15.0, 1), [0.0])
    np.testing.assert_array_equal(clips.uniform_starts(1.0, 30, 15.0, 3), [0.0, 0.0, 0.0])


def test_uniform_starts_wants_a_clip():
    with pytest.raises(ValueError, match="num_clips=0: expected at least 1"):
        clips.uniform_starts(10.0, 8, 15.0, 0)
