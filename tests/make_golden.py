"""Writes tests/golden.json: logits of torchvision's blocks with name-seeded weights.

Run from the root after a deliberate change of names or numbers: python -m tests.make_golden
"""

import json
import pathlib

import torch

from r21d_keras import get_variant
from r21d_keras.variants import FAMILIES
from tests import torch_reference as reference
from tests.seeded import CLIP_SHAPE, NUM_CLASSES, seeded_clips

GOLDEN = pathlib.Path(__file__).with_name("golden.json")
DEPTHS = (10, 50)


def main():
    """One row of logits for every family, depth and convention."""
    rows = {
        f"{family}_{depth}.{convention}": golden_row(f"{family}_{depth}", convention)
        for family in FAMILIES
        for depth in DEPTHS
        for convention in ("paper", "torchvision")
        if convention == "paper" or family == "r2plus1d"  # others differ in epsilon alone
    }
    made_with = f"torch {torch.__version__.split('+')[0]}, torchvision's blocks"
    GOLDEN.write_text(json.dumps({"made_with": made_with, "logits": rows}, indent=1) + "\n")


def golden_row(name, convention):
    """Logits of the torch network `name`, six digits."""
    module = reference.assemble(get_variant(name), convention, NUM_CLASSES, CLIP_SHAPE[0])
    reference.seed_weights(module)
    return [round(float(v), 6) for v in reference.logits(module, seeded_clips())[0]]


if __name__ == "__main__":
    main()
