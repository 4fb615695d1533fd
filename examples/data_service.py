"""A part of a tf.data service, for `r21d train --data_service=HOST:PORT`.

    python examples/data_service.py 5050                   # the dispatcher, once
    python examples/data_service.py 0 HOST:5050 [MY_NAME]  # a worker, on each machine that decodes

A worker listens at a port that is free, or at the one that is given, and tells the dispatcher that
it is reached at MY_NAME, by default localhost. It needs TensorFlow, and sees the folder of records
under the same path as the training.
"""

import sys

import tensorflow as tf


def main(port: str, dispatcher: str = "", name: str = "localhost") -> None:
    """Serves until it is killed."""
    service = tf.data.experimental.service
    if not dispatcher:
        server = service.DispatchServer(service.DispatcherConfig(port=int(port)))
        print(f"dispatcher at {server.target}", flush=True)
    else:
        config = service.WorkerConfig(dispatcher, worker_address=f"{name}:%port%", port=int(port))
        server = service.WorkerServer(config)
        print(f"worker of {dispatcher}", flush=True)
    server.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
