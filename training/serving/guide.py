"""The README that lies beside the versions of a model."""

from .names import (
    CLIPS_FLOAT,
    EMBEDDING,
    FEATURES,
    FRAMES_BYTES,
    OUTPUTS,
    SERVING_DEFAULT,
    SIGNATURES,
)
from .servable import Servable


def guide(servable: Servable) -> str:
    """What a model takes and gives, and how it is served: Markdown."""
    numbers, limits, name = servable.preprocessing, servable.limits, servable.variant
    any_length = f"1 to {limits.max_frames}, trained with {servable.clip_frames}"
    length = any_length if servable.length is None else f"{servable.length}, no more and no fewer"
    return f"""\
# {name}

A network that says what happens in a video: one of {len(servable.classes)} classes. Each folder
with a number is a version, a SavedModel; a server that watches this folder takes a new one by
itself.

    docker compose up

serves the newest with TensorFlow Serving, gRPC on port 8500 and REST on 8501. Where the folder lies
elsewhere or several models are served, change `models.config`. These files were written once; new
versions leave them as they are.

    curl http://localhost:8501/v1/models/{name}
    curl http://localhost:8501/v1/models/{name}/metadata
    r21d predict --model=1 video.mp4   # without a server

## Signatures

| signature | input | type and shape | answers |
| --- | --- | --- | --- |
{_rows(servable)}

B clips of T frames: T is {length}. The frames are {numbers.frame_rate:g} a second of the video.
{_seen(servable)}

Outputs: `probabilities` (B, {len(servable.classes)}) in the order of `assets.extra/classes.txt`
of a version, `top_labels` and `top_scores`, best first, and `embedding`, the features before the
classifier. The signature `describe`, for one string of any value, answers with `about`: what is in
`assets.extra/r21d.json`. Anything else is answered with INVALID_ARGUMENT and the fault: other
channels, nothing, numbers that are NaN, {_refused(servable)}more than {limits.max_frames_in_all}
frames a request.
{_rest(servable)}
## Batching

A request may hold many clips. Putting requests together (`--enable_batching`, see
`docker-compose.yml`) is left off: TensorFlow Serving then refuses requests that come together with
clips of different sizes, and where one request of a batch is refused its neighbours are too. It is
for clients that send clips of one size alone. New versions are warmed up for the batch sizes of
`batching_parameters.txt`.
"""


def _rows(servable: Servable) -> str:
    length = servable.length or "T"
    height, width, channels = servable.crop
    pixels = ("clips", f"uint8 RGB (B, {length}, H, W, 3)")
    if servable.stream == "flow":
        pixels = ("clips", f"float32 flow in pixels (B, {length}, {height}, {width}, 2)")
    every = ", ".join(f"`{output}`" for output in OUTPUTS)
    prepared = f"float32, normalised (B, {length}, {height}, {width}, {channels})"
    rows = {
        SERVING_DEFAULT: (*pixels, every),
        CLIPS_FLOAT: ("clips", prepared, every),
        FRAMES_BYTES: (FRAMES_BYTES, f"JPEG or PNG (B, {length})", every),
        FEATURES: (*pixels, f"`{EMBEDDING}`"),
    }
    return "\n".join(
        f"| `{name}` | `{rows[name][0]}` | {rows[name][1]} | {rows[name][2]} |"
        for name in SIGNATURES[servable.stream]
    )


def _seen(servable: Servable) -> str:
    numbers = servable.preprocessing
    resize = numbers.resize
    to = (
        f"{resize} pixels at the shorter side"
        if numbers.keeps_shape
        else (f"{resize[0]}x{resize[1]}")
    )
    side = numbers.crop_size
    if servable.stream == "flow":
        return (
            f"They are resized to {to} and cropped to {side}x{side} by the client, which computes "
            f"their flow ({servable.flow_method}): T flows of T + 1 frames. No server computes it."
        )
    return f"They are resized to {to}, cropped to {side}x{side} and normalised by the network."


def _refused(servable: Servable) -> str:
    limits = servable.limits
    if servable.stream == "flow":
        return ""
    keeps_shape = servable.preprocessing.keeps_shape
    flat = f"a side more than {limits.max_aspect} times the other, " if keeps_shape else ""
    sides = f"below {limits.min_side} or above {limits.max_side} pixels"
    return f"bytes that are no picture, frames with sides\n{sides}, {flat}"


def _rest(servable: Servable) -> str:
    if servable.stream == "flow":
        return ""
    return f"""
By REST, frames as JPEG in base64:

    {{"signature_name": "{FRAMES_BYTES}",
     "instances": [{{"{FRAMES_BYTES}": [{{"b64": "..."}}, {{"b64": "..."}}, ...]}}]}}

to http://localhost:8501/v1/models/{servable.variant}:predict.
"""
