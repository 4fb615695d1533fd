"""The commands `r21d zoo ...` and `r21d features` as a table, like commands.py."""

from .command import Command

ZOO_COMMANDS: dict[str, Command] = {}
"""Commands by name, in the order of `r21d --help`."""
