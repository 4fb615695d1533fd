"""Training, evaluation, export and the `r21d` command; the one part that needs TensorFlow."""
