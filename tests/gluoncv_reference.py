"""GluonCV's two R(2+1)D networks for PyTorch, from their definitions: names, widths, epsilon.

r2plus1dv1.py and r2plus1dv2.py of gluoncv/torch/model_zoo/action_recognition. Attributes are named
as there, for their names are what a state dict has.
"""

import torch
from torch import nn


def conv(inputs, outputs, kernel, stride=(1, 1, 1)):
    """A convolution without bias that keeps sizes but for its stride."""
    pads = [k // 2 for k in kernel]
    return nn.Conv3d(inputs, outputs, kernel, stride, pads, bias=False)


def norm_v2(width):
    """v2 has the epsilon of the network that it was ported from."""
    return nn.BatchNorm3d(width, eps=1e-3)


class Halves(nn.Module):
    """v1's (2+1)D convolution."""

    def __init__(self, inputs, outputs, middle, stride):
        super().__init__()
        self.conv1 = conv(inputs, middle, (1, 3, 3), (1, stride, stride))
        self.bn1 = nn.BatchNorm3d(middle)
        self.conv2 = conv(middle, outputs, (3, 1, 1), (stride, 1, 1))

    def forward(self, x):
        return self.conv2(torch.relu(self.bn1(self.conv1(x))))


class BasicV1(nn.Module):
    """Two (2+1)D convolutions, the middle width of the first in both."""

    expansion = 1

    def __init__(self, inputs, planes, stride):
        super().__init__()
        middle = inputs * planes * 27 // (inputs * 9 + 3 * planes)
        self.conv1 = Halves(inputs, planes, middle, stride)
        self.bn1 = nn.BatchNorm3d(planes)
        self.conv2 = Halves(planes, planes, middle, 1)
        self.bn2 = nn.BatchNorm3d(planes)
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(
                conv(inputs, planes, (1, 1, 1), (stride,) * 3), nn.BatchNorm3d(planes)
            )

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class BottleneckV1(nn.Module):
    """1x1x1, a (2+1)D convolution of the middle width of the block's input, 1x1x1."""

    expansion = 4

    def __init__(self, inputs, planes, stride):
        super().__init__()
        middle, outputs = inputs * planes * 27 // (inputs * 9 + 3 * planes), 4 * planes
        self.conv1 = conv(inputs, planes, (1, 1, 1))
        self.bn1 = nn.BatchNorm3d(planes)
        self.conv2 = Halves(planes, planes, middle, stride)
        self.bn2 = nn.BatchNorm3d(planes)
        self.conv3 = conv(planes, outputs, (1, 1, 1))
        self.bn3 = nn.BatchNorm3d(outputs)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                conv(inputs, outputs, (1, 1, 1), (stride,) * 3), nn.BatchNorm3d(outputs)
            )

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class BottleneckV2(nn.Module):
    """1x1x1, a (2+1)D convolution whose halves are the block's own, 1x1x1."""

    expansion = 4

    def __init__(self, inputs, planes, stride):
        super().__init__()
        middle, outputs = 9 * planes // 4, 4 * planes  # 144, 288, 576, 1152
        self.conv1 = conv(inputs, planes, (1, 1, 1))
        self.bn1 = norm_v2(planes)
        self.conv2_middle = conv(planes, middle, (1, 3, 3), (1, stride, stride))
        self.bn2_middle = norm_v2(middle)
        self.conv2 = conv(middle, planes, (3, 1, 1), (stride, 1, 1))
        self.bn2 = norm_v2(planes)
        self.conv3 = conv(planes, outputs, (1, 1, 1))
        self.bn3 = norm_v2(outputs)
        self.down_sample = None
        if inputs != outputs:
            self.down_sample = nn.Sequential(
                conv(inputs, outputs, (1, 1, 1), (stride,) * 3), norm_v2(outputs)
            )

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2_middle(self.conv2_middle(y)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu(y + (x if self.down_sample is None else self.down_sample(x)))


class Network(nn.Module):
    """Stem, stages and classifier; `names` are those of the stem's four layers and the last."""

    def __init__(self, block, repeats, names, norm, num_classes):
        super().__init__()
        self.names = names
        spatial, first_norm, temporal, second_norm, head = names
        setattr(self, spatial, conv(3, 45, (1, 7, 7), (1, 2, 2)))
        setattr(self, first_norm, norm(45))
        setattr(self, temporal, conv(45, 64, (3, 1, 1)))
        setattr(self, second_norm, norm(64))
        inputs = 64
        for stage, count in enumerate(repeats):
            planes, blocks = 64 * 2**stage, []
            for index in range(count):
                blocks.append(block(inputs, planes, 2 if stage and not index else 1))
                inputs = planes * block.expansion
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        setattr(self, head, nn.Linear(inputs, num_classes))

    def forward(self, x):
        spatial, first_norm, temporal, second_norm, head = (getattr(self, n) for n in self.names)
        x = torch.relu(first_norm(spatial(x)))
        x = torch.relu(second_norm(temporal(x)))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return head(x.mean((2, 3, 4)))


NAMES_V1 = ("conv1", "bn1", "conv2", "bn2", "fc")


def v1(repeats, num_classes):
    """r2plus1dv1.py to depth 34."""
    return Network(BasicV1, repeats, NAMES_V1, nn.BatchNorm3d, num_classes).eval()


def v1_deep(repeats, num_classes):
    """r2plus1dv1.py from depth 50."""
    return Network(BottleneckV1, repeats, NAMES_V1, nn.BatchNorm3d, num_classes).eval()


def v2(repeats, num_classes):
    """r2plus1dv2.py with use_affine=False."""
    names = ("conv1_middle", "bn1_middle", "conv1", "bn1", "out_fc")
    return Network(BottleneckV2, repeats, names, norm_v2, num_classes).eval()
