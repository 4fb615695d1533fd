"""Weights for the networks of `r21d_keras`: preprocessing numbers and converters."""
