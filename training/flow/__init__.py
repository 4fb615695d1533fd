"""Optical flow: how it is computed, kept in files, and given to networks."""
