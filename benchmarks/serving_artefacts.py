"""What benchmarks/serving.py compares, made in a process of its own: files for every runtime."""

import pathlib
import warnings

import numpy as np

OURS = (
    ("tf", "float32"),
    ("openvino", "float32"),
    ("openvino", "int8"),
    ("onnx", "float32"),
    ("onnx", "int8"),
    ("litert", "float32"),
    ("litert", "int8"),
)


def make_ours(
    variant: str, folder: pathlib.Path, videos: pathlib.Path, shape: list[int], num_clips: int
) -> None:
    """A run of random weights in `folder`/run, and its exports in folders by format, precision."""
    from benchmarks.random_run import write_random_run
    from r21d_keras.training.formats.convert import convert
    from r21d_keras.training.serving.saved_model import export

    frames, side, _ = shape
    sizes = {"clip_frames": frames, "crop_size": side, "resize_height": side, "resize_width": side}
    write_random_run(folder / "run", variant, videos, convention="torchvision", **sizes)
    for name, precision in OURS:
        out = folder / f"{name}.{precision}"
        if name == "tf":
            export(folder / "run", out)
        else:
            given = {"calibrate": [videos], "num_clips": num_clips} if precision == "int8" else {}
            convert(folder / "run", out, name, precision, **given)


def make_theirs(variant: str, folder: pathlib.Path, shape: list[int], num_clips: int) -> None:
    """torchvision's network of the same layers: its weights, ONNX, and that quantised by NNCF."""
    import nncf
    import openvino as ov
    import torch

    from tests.torch_reference import tv

    torch.manual_seed(0)
    network = getattr(tv, variant)(num_classes=400).eval()
    for name in ("torch", "torch_onnx", "torch_int8"):
        (folder / name).mkdir()
    torch.save(network.state_dict(), folder / "torch" / "network.pt")
    path = folder / "torch_onnx" / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, which is the old one: it needs no more
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, *shape),),
            path,
            dynamo=False,
            input_names=["clips"],
            output_names=["logits"],
            dynamic_axes={"clips": {0: "batch"}},
        )
    draw = np.random.default_rng(0)
    clips = [draw.random((1, 3, *shape), np.float32) for _ in range(num_clips)]
    model = ov.Core().read_model(path)
    quantised = nncf.quantize(model, nncf.Dataset(clips), subset_size=len(clips))
    ov.save_model(quantised, folder / "torch_int8" / "model.xml", compress_to_fp16=False)
