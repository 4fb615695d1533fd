"""The twelve families assembled from torchvision's own blocks: an independent implementation."""

import torch
from torch import library

from tests.seeded import seeded_array


def _import_torchvision():
    """torchvision without its compiled operators, which the networks do not need.

    A torchvision installed beside a torch it was not compiled for cannot register them.
    """
    register = library.register_fake

    def skip_torchvision(name, *args, **kwargs):
        if isinstance(name, str) and name.startswith("torchvision::"):
            return lambda function: function
        return register(name, *args, **kwargs)

    library.register_fake = skip_torchvision
    try:
        from torchvision.models.video import resnet
    finally:
        library.register_fake = register
    return resnet


tv = _import_torchvision()


class PerConvMid(tv.Conv2Plus1D):
    """The paper's rule: the middle width from this convolution's own channels."""

    def __init__(self, in_planes, out_planes, midplanes, stride=1, padding=1):
        mid = (in_planes * out_planes * 27) // (in_planes * 9 + 3 * out_planes)
        super().__init__(in_planes, out_planes, mid, stride, padding)


def stem(kernel_t, pad_t):
    """conv1 of t x 7 x 7."""

    def build():
        return torch.nn.Sequential(
            torch.nn.Conv3d(3, 64, (kernel_t, 7, 7), (1, 2, 2), (pad_t, 3, 3), bias=False),
            torch.nn.BatchNorm3d(64),
            torch.nn.ReLU(inplace=True),
        )

    return build


def assemble(variant, convention, num_classes, frames, channels=3):
    """A torch module for one of our variants, in eval mode; `channels` are those of its clips."""
    makers = {
        "2d": tv.Conv3DNoTemporal,
        "clip": tv.Conv3DNoTemporal,
        "3d": tv.Conv3DSimple,
        "2+1d": tv.Conv2Plus1D if convention == "torchvision" else PerConvMid,
    }
    stems = {
        "3d": stem(3, 1),
        "2d": stem(1, 0),
        "clip": stem(frames, 0),
        "2+1d": tv.R2Plus1dStem,
    }
    module = tv.VideoResNet(
        tv.BasicBlock if variant.block == "basic" else tv.Bottleneck,
        [makers[kind] for kind in variant.kinds[1:]],
        list(variant.repeats),
        stems[variant.kinds[0]],
        num_classes=num_classes,
    )
    first = module.stem[0]  # torchvision's stems take RGB
    module.stem[0] = torch.nn.Conv3d(
        channels, first.out_channels, first.kernel_size, first.stride, first.padding, bias=False
    )
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm3d):
            part.eps = 1e-3 if convention == "paper" else 1e-5
    return module.eval()


def seed_weights(module):
    """Fill every weight and statistic of `module` from its own name."""
    module.load_state_dict({
        key: torch.from_numpy(seeded_array(key, tuple(old.shape))) if old.ndim else old
        for key, old in module.state_dict().items()
    })  # fmt: skip


def state_arrays(module):
    """The state dict of `module` as numpy arrays."""
    return {key: value.numpy() for key, value in module.state_dict().items()}


def logits(module, clips):
    """(B, classes) of channels-last numpy clips."""
    with torch.inference_mode():
        return module(torch.from_numpy(clips).permute(0, 4, 1, 2, 3).contiguous()).numpy()
