"""3-D convolutions computed as 2-D ones: same kernel, same result, other operations.

Each method takes clips (B, T, H, W, C), already padded in time, a kernel (kt, kh, kw, C, F) and
returns (B, T', H', W', F). `finish` is applied to what the convolution gives, (..., F), before the
frames are unfolded: bias and ReLU belong there, as TensorFlow computes them with the convolution
where nothing lies between. `benchmarks/folding.py` measures them; AUTO holds what it found.
"""

import functools
import os
import platform
import sys
from pathlib import Path

from . import _keras


def _as_it_is(y):
    return y


def _known(batch):
    return batch if isinstance(batch, int) else -1


def conv3d(x, kernel, strides, padding, finish=_as_it_is):
    """The backend's own 3-D convolution."""
    return finish(_keras.conv(x, kernel, strides, padding))


def frames(x, kernel, strides, padding, finish=_as_it_is):
    """A 1 x k x k kernel: time folded into the batch."""
    b, t, h, w, c = _keras.shape(x)
    y = _keras.reshape(x, (-1, h, w, c))
    y = finish(_keras.conv(y, kernel[0], strides[1:], padding))  # (B*T, H', W', F)
    _, h, w, f = _keras.shape(y)
    return _keras.reshape(y, (_known(b), t, h, w, f))


def rows(x, kernel, strides, padding, finish=_as_it_is):
    """A k x 1 x 1 kernel: the frame folded into one axis."""
    b, t, h, w, c = _keras.shape(x)
    y = _keras.reshape(x, (-1, t, h * w, c))
    y = finish(_keras.conv(y, kernel[:, 0], (strides[0], 1), padding))  # (B, T', H*W, F)
    _, t, _, f = _keras.shape(y)
    return _keras.reshape(y, (_known(b), t, h, w, f))


def stack(x, kernel, strides, padding, finish=_as_it_is):
    """Any kernel over time-padded clips: the kt frames under it stacked as channels."""
    kt, kh, kw, c, f = kernel.shape
    t = _keras.shape(x)[1]
    t_out = (t - kt) // strides[0] + 1
    last = (t_out - 1) * strides[0] + 1
    y = _keras.concatenate([x[:, i : i + last : strides[0]] for i in range(kt)], axis=-1)
    kernel = _keras.transpose(kernel, (1, 2, 0, 3, 4))  # frame-major, channel-minor
    kernel = _keras.reshape(kernel, (1, kh, kw, kt * c, f))
    return frames(y, kernel, (1, *strides[1:]), padding, finish)


METHODS = {"conv3d": conv3d, "frames": frames, "rows": rows, "stack": stack}

FORMS = ("1x1x1", "1x1x1 strided", "1xkxk", "kx1x1", "kxkxk", "kxkxk strided")

# The fastest method on CPUs for each of FORMS, in their order, as benchmarks/folding.py measures
# it. "tensorflow" without oneDNN runs Eigen's Conv3D, whose gradient with a stride is up to a
# thousand times slower than Conv2D's; "jax" runs XLA's, several times slower. On GPUs nothing is
# measured yet, so that there each backend's own Conv3D computes.
AUTO = {
    #                     1x1x1     strided   1xkxk     kx1x1     kxkxk     strided
    "tensorflow+onednn": ("conv3d", "conv3d", "frames", "rows",   "conv3d", "conv3d"),
    "tensorflow":        ("frames", "conv3d", "frames", "rows",   "conv3d", "stack"),
    "jax":               ("conv3d", "stack",  "frames", "rows",   "stack",  "stack"),
    "torch":             ("rows",   "stack",  "conv3d", "rows",   "conv3d", "conv3d"),
    "gpu":               ("conv3d", "conv3d", "conv3d", "conv3d", "conv3d", "conv3d"),
}  # fmt: skip

# TensorFlow switches oneDNN on by itself on CPUs with these (tensorflow/core/util/util.cc,
# IsMKLEnabled); TF_ENABLE_ONEDNN_OPTS overrides it either way.
ONEDNN_CPU_FLAGS = {"avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}


def choose(kernel_size, strides, compute="auto") -> str:
    """The method for this form of kernel: `compute`, or what AUTO has for backend and machine."""
    if compute != "auto":
        return compute
    return AUTO[engine()][FORMS.index(form_of(kernel_size, strides))]


def form_of(kernel_size, strides) -> str:
    """Which of FORMS a convolution has, by what decides which methods can compute it, and how fast.

    A 1 x k x k kernel with a stride in time, or k x 1 x 1 with one in space, is a "kxkxk strided".
    """
    kt, kh, kw = kernel_size
    if kt == kh == kw == 1:
        return "1x1x1" if max(strides) == 1 else "1x1x1 strided"
    if kt == 1 and strides[0] == 1:
        return "1xkxk"
    if kh == kw == 1 and strides[1] == strides[2] == 1:
        return "kx1x1"
    return "kxkxk" if max(strides) == 1 else "kxkxk strided"


def share_padding(method, pads, kernel_size, strides):
    """Which zeros to put around the clip, and which the convolution's own "same" puts there.

    "same" is symmetric for odd kernels with stride 1 and costs no copy of the clip. Returns
    (pads still to be done, "same" or "valid").
    """
    axes = zip(pads, kernel_size, strides, strict=True)
    same = [p == k // 2 and k % 2 == 1 and s == 1 for p, k, s in axes]
    if method == "stack":  # takes time-padded clips: the shifted frames are cut from them
        return ((pads[0], 0, 0), "same") if all(same[1:]) else (pads, "valid")
    return ((0, 0, 0), "same") if all(same) else (pads, "valid")


def check(method, kernel_size, strides) -> None:
    """Raise ValueError if `method` is unknown or cannot compute this kernel with these strides."""
    (kt, kh, kw), (st, sh, sw) = kernel_size, strides
    if method not in METHODS:
        raise ValueError(f"compute={method!r}: expected auto, {', '.join(METHODS)}.")
    if method == "frames" and (kt, st) != (1, 1):
        raise ValueError(
            f'compute="frames" takes kernels 1 x k x k with stride 1 in time; got kernel_size='
            f'{kernel_size}, strides={strides}. Use compute="stack" or "auto".'
        )
    if method == "rows" and (kh, kw, sh, sw) != (1, 1, 1, 1):
        raise ValueError(
            f'compute="rows" takes kernels k x 1 x 1 with stride 1 in space; got kernel_size='
            f'{kernel_size}, strides={strides}. Use compute="stack" or "auto".'
        )


def engine() -> str:
    """The row of AUTO in force: "gpu" where the backend has one or another accelerator."""
    backend = _keras.backend_name()
    if _SEES_GPU[backend](sys.modules[backend]):
        return "gpu"
    if backend == "tensorflow" and _onednn():
        return "tensorflow+onednn"
    return backend


# Keras has no public call for this that leaves the devices unstarted; keras has imported these.
_SEES_GPU = {
    "tensorflow": lambda tensorflow: any(
        tensorflow.config.list_physical_devices(kind) for kind in ("GPU", "TPU")
    ),
    "jax": lambda jax: jax.default_backend() != "cpu",
    "torch": lambda torch: torch.cuda.is_available() or torch.backends.mps.is_available(),
}


def _onednn() -> bool:
    # As tsl/util/env_var.cc, ReadBoolFromEnvVar, reads it.
    asked = {"0": False, "false": False, "1": True, "true": True}.get(
        os.environ.get("TF_ENABLE_ONEDNN_OPTS", "").lower()
    )
    return bool(ONEDNN_CPU_FLAGS & _cpu_flags()) if asked is None else asked


@functools.cache
def _cpu_flags() -> frozenset[str]:
    cpuinfo = Path("/proc/cpuinfo")  # Linux; elsewhere TensorFlow leaves oneDNN off
    if platform.machine() != "x86_64" or not cpuinfo.is_file():
        return frozenset()
    return frozenset(cpuinfo.read_text().split())
