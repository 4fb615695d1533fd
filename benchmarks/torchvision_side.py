"""torchvision's side of side_by_side.py: a worker process that times its networks."""

import numpy as np
import torch

from benchmarks.protocol import serve
from benchmarks.service import Service
from tests.torch_reference import tv

CLIP_SHAPE, NUM_CLASSES = (3, 16, 112, 112), 400  # channels first, as torchvision takes them
LEARNING_RATE, MOMENTUM = 1e-3, 0.9


def batch_of(count: int, layout):
    """Clips (B, C, T, H, W) and labels (B,), always the same."""
    draw = np.random.default_rng(0)
    clips = torch.from_numpy(draw.standard_normal((count, *CLIP_SHAPE), dtype="float32"))
    labels = torch.from_numpy(draw.integers(0, NUM_CLASSES, count))
    return clips.to(memory_format=layout), labels


def make_call(configuration: str, variant: str, kind: str, batch: int):
    """A function that runs a forward pass or a training step once."""
    words = configuration.split()
    layout = torch.channels_last_3d if "channels_last_3d" in words else torch.contiguous_format
    module = getattr(tv, variant)(num_classes=NUM_CLASSES).to(memory_format=layout)
    module.train(kind == "train")
    clips, labels = batch_of(batch, layout)
    optimizer = torch.optim.SGD(module.parameters(), LEARNING_RATE, MOMENTUM)
    # Inductor's own step for inference: weights become constants, normalisation a part of them.
    frozen = {"freezing": True} if "frozen" in words else None
    network = torch.compile(module, options=frozen) if "compiled" in words else module

    def forward():
        # Freezing is done under no_grad alone.
        with torch.no_grad() if frozen else torch.inference_mode():
            return network(clips)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(network(clips), labels)
        loss.backward()
        optimizer.step()

    return forward if kind == "forward" else step


def make_product(a):
    """A function that multiplies the matrix `a` by itself."""
    a = torch.from_numpy(a)
    return lambda: torch.matmul(a, a)


if __name__ == "__main__":
    serve(Service(make_call, make_product, torch.compiler.reset))
