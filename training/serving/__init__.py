"""Networks at work elsewhere: the SavedModel that servers load, and what lies beside it."""
