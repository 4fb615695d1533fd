"""Bazel's way into the `r21d` command."""

import sys

from r21d_keras.training.cli import main

sys.exit(main())
