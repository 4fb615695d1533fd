"""Times the methods of r21d_keras.folding on one form of convolution; see folding.py."""

import statistics
import time

import keras
import numpy as np

from benchmarks.protocol import serve
from r21d_keras import FoldedConv3D, folding

LEAST_S = 0.5  # shorter than this, a neighbour's slice of the processor would decide


class Convolutions:
    """What a worker process of folding.py can be asked."""

    def measure(self, clips, filters, kernel, strides, padding, kinds, repeats, budget_s):
        """Median seconds of each method that can do it: {method: {"forward", "gradient"}}."""
        kernel, strides, layers, seconds = tuple(kernel), tuple(strides), {}, {}
        for method in folding.METHODS:
            try:
                folding.check(method, kernel, strides)
            except ValueError:
                continue
            layers[method] = FoldedConv3D(filters, kernel, strides, padding, method, use_bias=False)
            layers[method].build(clips)
        draw = np.random.default_rng(0)
        make_call = CALLS[keras.backend.backend()]
        clips = draw.standard_normal(clips, dtype="float32")
        for kind in kinds:
            calls = {name: make_call(layer, clips, kind, draw) for name, layer in layers.items()}
            for name, median in interleaved(calls, repeats, budget_s).items():
                seconds.setdefault(name, {})[kind] = median
        auto = folding.choose(kernel, strides)
        return {"seconds": seconds, "engine": folding.engine(), "auto": auto}


def interleaved(calls: dict, repeats: int, budget_s: float) -> dict:
    """Median seconds of each call, taken in turn: `repeats` turns or more.

    More for calls that are over in no time, fewer where they would last more than `budget_s`.
    """
    for call in calls.values():
        call()
        call()  # the second is the first without tracing and compiling
    times, started, turns, spent_s = {name: [] for name in calls}, time.perf_counter(), 0, 0.0
    while spent_s < budget_s and (turns < repeats or spent_s < LEAST_S):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
        turns, spent_s = turns + 1, time.perf_counter() - started
    return {name: statistics.median(taken) for name, taken in times.items()}


def _upstream(layer, clips, draw):
    """A gradient that comes from above. Of ones, a compiler could make something simpler."""
    shape = layer.compute_output_shape(clips.shape)
    return draw.standard_normal(shape, dtype="float32")


# Each of these returns a function that runs once and waits for the result. "gradient" is forward
# and gradient, by the kernel and by the clips, save for those of three channels: nothing asks for
# the gradient of a network's input.


def _tensorflow(layer, clips, kind, draw):
    import tensorflow as tf

    kernel = layer.kernel.value

    @tf.function
    def gradient(clips, upstream):
        with tf.GradientTape() as tape:
            tape.watch(clips)
            out = layer(clips)
        wanted = [kernel] if clips.shape[-1] == 3 else [kernel, clips]
        # The result too: a gradient alone would leave the forward convolution out.
        return out, tape.gradient(out, wanted, output_gradients=upstream)

    forward, upstream = tf.function(layer), tf.constant(_upstream(layer, clips, draw))
    clips = tf.constant(clips)
    if kind == "forward":
        return lambda: forward(clips)  # returns when it is done, as on CPUs all of eager does
    return lambda: gradient(clips, upstream)


def _jax(layer, clips, kind, draw):
    import jax

    def forward(kernel, clips):
        return layer.stateless_call([kernel], [], clips)[0]

    def gradient(kernel, clips, upstream):
        out, back = jax.vjp(forward, kernel, clips)
        parts = back(upstream)
        # The result too: a gradient alone would leave the forward convolution out.
        return out, parts[:1] if clips.shape[-1] == 3 else parts

    kernel, upstream = layer.kernel.value, jax.device_put(_upstream(layer, clips, draw))
    clips = jax.device_put(clips)
    if kind == "forward":
        run = jax.jit(forward)
        return lambda: jax.block_until_ready(run(kernel, clips))
    run = jax.jit(gradient)
    return lambda: jax.block_until_ready(run(kernel, clips, upstream))


def _torch(layer, clips, kind, draw):
    import torch

    kernel, upstream = layer.kernel.value, torch.from_numpy(_upstream(layer, clips, draw))
    clips = torch.from_numpy(clips).requires_grad_(kind == "gradient" and clips.shape[-1] != 3)
    wanted = [kernel, clips] if clips.requires_grad else [kernel]

    def forward():
        with torch.no_grad():
            return layer(clips)

    def gradient():
        return torch.autograd.grad(layer(clips), wanted, upstream)

    return forward if kind == "forward" else gradient


CALLS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}

if __name__ == "__main__":
    serve(Convolutions())
