"""Devices and processes that train together, and how batches reach them."""
