"""tensorflow-addons, where it is: on the card stack."""

import warnings

import pytest


def addons():
    """The package; tests that ask for it are skipped where it is not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is past its end of life
        return pytest.importorskip("tensorflow_addons", exc_type=ImportError)
