import itertools

import pytest

from r21d_keras.training.data.draws import USES, generator


def test_no_use_and_no_key_shares_its_draws():
    """Keys such as [5, 1] and [5, 1, 0] are one seed to numpy."""
    numbers = (0, 1, 2, 3, 5, 2**32 - 1)
    keys = [key for size in (2, 3) for key in itertools.product(numbers, repeat=size)]
    seen = {}
    for use in USES:
        for key in keys:
            if len(key) == (2 if use == "epoch_order" else 3):
                draws = tuple(generator(use, *key).integers(0, 2**63, 4))
                assert seen.setdefault(draws, (use, key)) == (use, key)
    assert len(seen) == 2 * 6**3 + 6**2


def test_the_same_key_draws_the_same():
    assert generator("epoch_order", 3, 4).random() == generator("epoch_order", 3, 4).random()


@pytest.mark.parametrize("number", [-1, 2**32])
def test_numbers_that_numpy_would_split_are_refused(number):
    with pytest.raises(ValueError, match="epoch_order: key .*expected whole numbers"):
        generator("epoch_order", 1, number)
