"""Checkpoints as their authors' builders make them: the names and shapes of every array.

Written from the builders themselves, block by block, not from the tables of r21d_keras.zoo.
"""

import numpy as np

from tests.seeded import seeded_array

BLOCKS = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
# Which of the stem and the four stages are 3-D: "3", 2-D "2", (2+1)D "+", all frames at once "L".
KINDS = {
    "r2d": "L2222", "f_r2d": "22222", "r3d": "33333", "r2plus1d": "+++++",
    "mc2": "32222", "mc3": "33222", "mc4": "33322", "mc5": "33332",
    "rmc2": "23333", "rmc3": "22333", "rmc4": "22233", "rmc5": "22223",
}  # fmt: skip
PLANES = (64, 128, 256, 512)


def torch_shapes(variant, convention="paper", num_classes=8, channels=3, frames=8):
    """{module path and parameter: shape} of torchvision's VideoResNet built as `variant`."""
    family, depth = variant.rsplit("_", 1)
    stem, *kinds = KINDS[family]
    if stem == "+":
        shapes = {"stem.0.weight": (45, channels, 1, 7, 7), "stem.3.weight": (64, 45, 3, 1, 1)}
        shapes |= _norm("stem.1", 45) | _norm("stem.4", 64)
    else:
        extent = {"L": frames, "2": 1, "3": 3}[stem]
        shapes = {"stem.0.weight": (64, channels, extent, 7, 7)} | _norm("stem.1", 64)
    expansion, inputs = (1 if int(depth) < 50 else 4), 64
    for stage, blocks in enumerate(BLOCKS[int(depth)]):
        for block in range(blocks):
            name, planes = f"layer{stage + 1}.{block}", PLANES[stage]
            outputs = planes * expansion
            shapes |= _block(name, kinds[stage], inputs, planes, outputs, convention)
            if block == 0 and (stage > 0 or inputs != outputs):
                shapes[f"{name}.downsample.0.weight"] = (outputs, inputs, 1, 1, 1)
                shapes |= _norm(f"{name}.downsample.1", outputs)
            inputs = outputs
    return shapes | {"fc.weight": (num_classes, inputs), "fc.bias": (num_classes,)}


def _block(name, kind, inputs, planes, outputs, convention):
    shared = _middle(inputs, planes) if convention == "torchvision" else None
    if outputs == planes:
        shapes = _conv(f"{name}.conv1", kind, inputs, planes, shared)
        return shapes | _conv(f"{name}.conv2", kind, planes, planes, shared)
    return {
        f"{name}.conv1.0.weight": (planes, inputs, 1, 1, 1),
        f"{name}.conv3.0.weight": (outputs, planes, 1, 1, 1),
        **_norm(f"{name}.conv1.1", planes),
        **_conv(f"{name}.conv2", kind, planes, planes, shared),
        **_norm(f"{name}.conv3.1", outputs),
    }


def _conv(name, kind, inputs, planes, middle):
    shapes = _norm(f"{name}.1", planes)
    if kind != "+":
        extent = {"2": 1, "3": 3}[kind]
        return shapes | {f"{name}.0.weight": (planes, inputs, extent, 3, 3)}
    middle = middle or _middle(inputs, planes)
    return shapes | {
        f"{name}.0.0.weight": (middle, inputs, 1, 3, 3),
        f"{name}.0.3.weight": (planes, middle, 3, 1, 1),
        **_norm(f"{name}.0.1", middle),
    }


def _middle(inputs, planes):
    return 27 * inputs * planes // (9 * inputs + 3 * planes)


def _norm(name, width):
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (width,) for part in parts}


def seeded(shapes):
    """Arrays of these shapes, each from its own name."""
    return {key: seeded_array(key, shape) for key, shape in shapes.items()}


def hollow(shapes):
    """Arrays of these shapes that take no memory, each of another number."""
    return {
        key: np.broadcast_to(np.float32(number), shape)
        for number, (key, shape) in enumerate(shapes.items())
    }


def caffe2_blobs(arrays):
    """The arrays as VMZ's builder calls them: c2/lib/models/{r3d_model,builder/video_model}.py."""
    blobs, count = {}, 0

    def conv(blob, module):
        blobs[f"{blob}_w"] = arrays[f"{module}.weight"]

    def norm(blob, module):
        blobs[f"{blob}_s"] = arrays[f"{module}.weight"]
        blobs[f"{blob}_b"] = arrays[f"{module}.bias"]
        blobs[f"{blob}_rm"] = arrays[f"{module}.running_mean"]
        blobs[f"{blob}_riv"] = arrays[f"{module}.running_var"]

    if "stem.3.weight" in arrays:
        conv("conv1_middle", "stem.0")
        norm("conv1_middle_spatbn_relu", "stem.1")
        conv("conv1", "stem.3")
        norm("conv1_spatbn_relu", "stem.4")
    else:
        conv("conv1", "stem.0")
        norm("conv1_spatbn_relu", "stem.1")
    for name in _block_names(arrays):
        for number in (1, 2, 3):
            module = f"{name}.conv{number}"
            if f"{module}.0.3.weight" in arrays:
                conv(f"comp_{count}_conv_{number}_middle", f"{module}.0.0")
                norm(f"comp_{count}_spatbn_{number}_middle", f"{module}.0.1")
                conv(f"comp_{count}_conv_{number}", f"{module}.0.3")
            elif f"{module}.0.weight" in arrays:
                conv(f"comp_{count}_conv_{number}", f"{module}.0")
            if f"{module}.1.weight" in arrays:
                norm(f"comp_{count}_spatbn_{number}", f"{module}.1")
        if f"{name}.downsample.0.weight" in arrays:
            conv(f"shortcut_projection_{count}", f"{name}.downsample.0")
            norm(f"shortcut_projection_{count}_spatbn", f"{name}.downsample.1")
        count += 1
    head = f"last_out_L{arrays['fc.bias'].shape[0]}"
    return blobs | {f"{head}_w": arrays["fc.weight"], f"{head}_b": arrays["fc.bias"]}


def gluoncv_v1_state(arrays):
    """The arrays as GluonCV's r2plus1dv1.py calls them."""
    return _gluoncv(
        arrays,
        stem=("conv1", "bn1", "conv2", "bn2"),
        halves=("conv{}.conv1", "conv{}.bn1", "conv{}.conv2"),
        shortcut="downsample",
        head="fc",
    )


def gluoncv_v2_state(arrays):
    """The arrays as GluonCV's r2plus1dv2.py calls them."""
    return _gluoncv(
        arrays,
        stem=("conv1_middle", "bn1_middle", "conv1", "bn1"),
        halves=("conv{}_middle", "bn{}_middle", "conv{}"),
        shortcut="down_sample",
        head="out_fc",
    )


def _gluoncv(arrays, stem, halves, shortcut, head):
    modules = dict(zip(stem, ("stem.0", "stem.1", "stem.3", "stem.4"), strict=True))
    for name in _block_names(arrays):
        for number in (1, 2, 3):
            conv = f"{name}.conv{number}"
            if f"{conv}.0.0.weight" in arrays:
                for half, part in zip(halves, ("0.0", "0.1", "0.3"), strict=True):
                    modules[f"{name}.{half.format(number)}"] = f"{conv}.{part}"
            else:
                modules[conv] = f"{conv}.0"
            modules[f"{name}.bn{number}"] = f"{conv}.1"
        modules |= {f"{name}.{shortcut}.{part}": f"{name}.downsample.{part}" for part in "01"}
    modules[head] = "fc"
    parts = ("weight", "bias", "running_mean", "running_var")
    return {
        f"{theirs}.{part}": arrays[f"{ours}.{part}"]
        for theirs, ours in modules.items()
        for part in parts
        if f"{ours}.{part}" in arrays
    }


def _block_names(arrays):
    for stage in (1, 2, 3, 4):
        block = 0
        while f"layer{stage}.{block}.conv1.1.weight" in arrays:
            yield f"layer{stage}.{block}"
            block += 1


NAMED = {
    "torchvision": dict,
    "caffe2": caffe2_blobs,
    "gluoncv_v1": gluoncv_v1_state,
    "gluoncv_v2": gluoncv_v2_state,
}
