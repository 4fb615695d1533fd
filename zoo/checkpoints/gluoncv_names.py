"""Names of GluonCV's R(2+1)D networks for PyTorch, as torchvision's module paths.

Source: github.com/dmlc/gluon-cv, gluoncv/torch/model_zoo/action_recognition/r2plus1dv1.py and
r2plus1dv2.py.
"""

import re

from .torch_names import NOT_A_WEIGHT, renamed

BLOCK = r"(layer[0-9]\.[0-9]{1,4})"
PARAMETERS = ("weight", "bias", "running_mean", "running_var", NOT_A_WEIGHT)
# Patterns of module paths and what they become. In v1 a (2+1)D convolution is a module with a
# first and second convolution; in v2 its halves are members of the block.
V1 = {
    r"conv1": "stem.0",
    r"bn1": "stem.1",
    r"conv2": "stem.3",
    r"bn2": "stem.4",
    BLOCK + r"\.conv([0-9])\.conv1": r"\1.conv\2.0.0",
    BLOCK + r"\.conv([0-9])\.bn1": r"\1.conv\2.0.1",
    BLOCK + r"\.conv([0-9])\.conv2": r"\1.conv\2.0.3",
    BLOCK + r"\.conv([0-9])": r"\1.conv\2.0",
    BLOCK + r"\.bn([0-9])": r"\1.conv\2.1",
    BLOCK + r"\.downsample\.([01])": r"\1.downsample.\2",
    r"fc": "fc",
}
V2 = {
    r"conv1_middle": "stem.0",
    r"bn1_middle": "stem.1",
    r"conv1": "stem.3",
    r"bn1": "stem.4",
    BLOCK + r"\.conv2_middle": r"\1.conv2.0.0",
    BLOCK + r"\.bn2_middle": r"\1.conv2.0.1",
    BLOCK + r"\.conv2": r"\1.conv2.0.3",
    BLOCK + r"\.conv([13])": r"\1.conv\2.0",
    BLOCK + r"\.bn([0-9])": r"\1.conv\2.1",
    BLOCK + r"\.down_sample\.([01])": r"\1.downsample.\2",
    r"out_fc": "fc",
}


def to_torch_names(arrays: dict, rules: dict) -> dict:
    """GluonCV's arrays under torchvision's module paths; `rules` are V1 or V2.

    Raises:
        CheckpointError: arrays that are no weights of these networks.
    """
    return renamed(arrays, lambda key: _torch_key(key, rules))


def _torch_key(key, rules) -> str | None:
    module, _, parameter = key.rpartition(".")
    for pattern, path in rules.items():
        found = re.fullmatch(pattern, module)
        if found and parameter in PARAMETERS:
            return f"{found.expand(path)}.{parameter}"
    return None
