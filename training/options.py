"""What an option of a configuration is: a value, a help text, and the limits it is checked by."""

import dataclasses
import math
import re


class ConfigError(ValueError):
    """A configuration that cannot be run: the message names field, value and what is allowed."""


def option(default, text: str, **limits):
    """A field with its help text and its `limits`: choices, low, high, above, resume, path, read.

    `read` turns the value into what is meant by it, or raises a ValueError that says what it is to
    be.
    """
    return dataclasses.field(default=default, metadata={"help": text, **limits})


def violations(field: dataclasses.Field, value) -> list[str]:
    """What is wrong with the `value` of a field made by `option`, a line each."""
    limits = field.metadata
    values = value if isinstance(value, tuple) else (value,)
    expected = []
    if "choices" in limits and value not in limits["choices"]:
        expected.append("one of " + ", ".join(limits["choices"]))
    if any(isinstance(v, float) and not math.isfinite(v) for v in values):
        expected.append("a finite number")
    if "low" in limits and not all(v >= limits["low"] for v in values):
        expected.append(f"at least {limits['low']}")
    if "above" in limits and not all(v > limits["above"] for v in values):
        expected.append(f"more than {limits['above']}")
    if "high" in limits and not all(v <= limits["high"] for v in values):
        expected.append(f"at most {limits['high']}")
    if "read" in limits:
        try:
            limits["read"](value)
        except ValueError as error:
            expected.append(str(error))
    return [f"{field.name}={value!r}: expected {text}." for text in expected]


def step_range(text: str) -> tuple[int, int] | None:
    """The first and the last of "10,20"; None of "".

    Raises:
        ValueError: that says what it is to be.
    """
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,18}),(\d{1,18})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError("the first and the last step, counted from 1, for example 10,20")
    return int(match[1]), int(match[2])
