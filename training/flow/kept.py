"""What records of flow say of the flow in them, and whether it is what a run wants."""

from collections.abc import Mapping

from ..options import ConfigError
from ..records.manifest import Manifest, read_manifest

KIND = "flow"
"""The kind of a manifest whose records are of flow."""


def numbers_of_records(values: Mapping) -> dict:
    """The flow_method of the records that options name, as an option; {} where they are of none.

    Raises:
        ConfigError: a manifest that cannot be read.
    """
    if values.get("stream") != "flow" or not values.get("records"):
        return {}
    manifest = read_manifest(values["records"])
    return {"flow_method": manifest.plan["method"]} if manifest and manifest.kind == KIND else {}


def check_flow(manifest: Manifest, config) -> None:
    """Checks that records of flow are of the flow that `config` wants.

    Raises:
        ConfigError: another method, or another frame rate: flow between frames that are twice as
            far apart is not there.
    """
    for name, kept in (("flow_method", "method"), ("frame_rate", "frame_rate")):
        has, wanted = manifest.plan[kept], getattr(config, name)
        if has != wanted:
            raise ConfigError(
                f"records={config.records!r} are flow of {name}={has!r}; {name}={wanted!r} was "
                f"asked for. Give --{name}={has}, or other records."
            )
