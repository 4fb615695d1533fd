"""What an option of a configuration is: a value, a help text, and the limits it is checked by."""

import dataclasses
import math


class ConfigError(ValueError):
    """A configuration that cannot be run: the message names field, value and what is allowed."""


def option(default, text: str, **limits):
    """A field with its help text and its `limits`: choices, low, high, above, resume, path."""
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
    return [f"{field.name}={value!r}: expected {text}." for text in expected]
