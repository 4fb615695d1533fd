"""The commands of `r21d`, each a row of a table: help, flags, and what it does.

Each imports what it needs when it runs, so that `r21d --help` answers at once.
"""

from .crossval_commands import CROSSVAL_COMMANDS
from .data_commands import DATA_COMMANDS
from .dataset_commands import DATASET_COMMANDS
from .flow_commands import FLOW_COMMANDS
from .run_commands import RUN_COMMANDS
from .server_commands import SERVER_COMMANDS
from .serving_commands import SERVING_COMMANDS
from .status_commands import STATUS_COMMANDS
from .watch_commands import WATCH_COMMANDS
from .zoo_commands import ZOO_COMMANDS

COMMANDS = {
    **RUN_COMMANDS,
    **SERVING_COMMANDS,
    **SERVER_COMMANDS,
    **WATCH_COMMANDS,
    **CROSSVAL_COMMANDS,
    **STATUS_COMMANDS,
    **DATASET_COMMANDS,
    **DATA_COMMANDS,
    **FLOW_COMMANDS,
    **ZOO_COMMANDS,
}
"""Commands by name, in the order of `r21d --help`."""
