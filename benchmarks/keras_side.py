"""Our side of side_by_side.py: a worker process that times r21d_keras on one Keras backend."""

import functools

import keras
import numpy as np

from benchmarks.protocol import serve
from benchmarks.service import Service
from r21d_keras import VideoResNet, count_macs, merge_batch_norm

CLIP_SHAPE, NUM_CLASSES = (16, 112, 112, 3), 400
LEARNING_RATE, MOMENTUM = 1e-3, 0.9


def make_model(variant: str, compute: str):
    """The network; compute="conv3d" compels the backend's own 3-D convolutions everywhere."""
    return VideoResNet(
        variant,
        NUM_CLASSES,
        CLIP_SHAPE,
        classifier_activation=None,
        convention="torchvision",
        compute=compute,
    )


def batch_of(count: int):
    """Clips (B, T, H, W, C) and labels (B,), always the same."""
    draw = np.random.default_rng(0)
    clips = draw.standard_normal((count, *CLIP_SHAPE), dtype="float32")
    return clips, draw.integers(0, NUM_CLASSES, count).astype("int32")


def tensorflow_call(model, kind: str, batch: int, jit: bool):
    """A function that runs a forward pass or a training step once and waits for its result."""
    import tensorflow as tf

    clips, labels = map(tf.constant, batch_of(batch))
    optimizer = keras.optimizers.SGD(LEARNING_RATE, MOMENTUM)
    optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=jit)
    def forward(clips):
        return model(clips, training=False)

    @tf.function(jit_compile=jit)
    def step(clips, labels):
        weights = model.trainable_variables
        with tf.GradientTape() as tape:
            logits = model(clips, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(losses)
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    if kind == "forward":
        return lambda: forward(clips).numpy()
    return lambda: step(clips, labels).numpy()


def jax_call(model, kind: str, batch: int, jit: bool):
    """As tensorflow_call; JAX always compiles."""
    import jax
    import jax.numpy as jnp

    del jit
    clips, labels = map(jax.device_put, batch_of(batch))
    optimizer = keras.optimizers.SGD(LEARNING_RATE, MOMENTUM)
    optimizer.build(model.trainable_variables)
    weights, others, slots = (
        [variable.value for variable in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
            optimizer.variables,
        )
    )

    def loss_of(weights, others, clips, labels):
        logits, others = model.stateless_call(weights, others, clips, training=True)
        rows = jnp.arange(len(labels))
        return -jax.nn.log_softmax(logits)[rows, labels].mean(), others

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state, clips, labels):
        weights, others, slots = state
        (loss, others), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            weights, others, clips, labels
        )
        weights, slots = optimizer.stateless_apply(slots, gradients, weights)
        return (weights, others, slots), loss

    @jax.jit
    def forward(weights, others, clips):
        return model.stateless_call(weights, others, clips, training=False)[0]

    if kind == "forward":
        return lambda: forward(weights, others, clips).block_until_ready()
    # Copies: a donated array is gone, and the model still holds the original.
    state = [jax.tree.map(jnp.copy, (weights, others, slots))]

    def run():
        state[0], loss = step(state[0], clips, labels)
        loss.block_until_ready()

    return run


def torch_call(model, kind: str, batch: int, jit: bool):
    """As tensorflow_call; eager."""
    import torch

    del jit
    clips, labels = map(torch.from_numpy, batch_of(batch))
    optimizer = keras.optimizers.SGD(LEARNING_RATE, MOMENTUM)
    optimizer.build(model.trainable_variables)

    def forward():
        with torch.inference_mode():
            return model(clips, training=False)

    def step():
        model.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(clips, training=True), labels.long())
        loss.backward()
        with torch.no_grad():
            weights = model.trainable_weights
            optimizer.apply([weight.value.grad for weight in weights], weights)

    return forward if kind == "forward" else step


CALLS = {"tensorflow": tensorflow_call, "jax": jax_call, "torch": torch_call}


def make_call(configuration: str, variant: str, kind: str, batch: int):
    """A function that runs a forward pass or a training step once and waits for its result."""
    words = configuration.split()
    model = make_model(variant, "conv3d" if "conv3d" in words else "auto")
    if "merged" in words:
        model = merge_batch_norm(model)
    return CALLS[keras.backend.backend()](model, kind, batch, jit="jit" in words)


def make_product(a):
    """A function that multiplies the matrix `a` by itself."""
    a = keras.ops.convert_to_tensor(a)
    return lambda: keras.ops.convert_to_numpy(keras.ops.matmul(a, a))


class KerasService(Service):
    """Knows the networks' multiply-adds too: torchvision's are the same."""

    def macs(self, variant: str) -> dict:
        """Multiply-adds of one clip."""
        return {"macs": count_macs(make_model(variant, "auto"))}


if __name__ == "__main__":
    serve(KerasService(make_call, make_product, keras.backend.clear_session))
