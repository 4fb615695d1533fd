"""TensorFlow Serving's gRPC interface."""

import grpc
import numpy as np

from . import messages
from .messages import MESSAGES
from .tensors import Spec, from_message, spec_of_message, to_message
from .transport import TLS, Address, ServerError

_OPTIONS = (
    ("grpc.max_send_message_length", -1),  # a batch of clips is more than the 4 MB of old
    ("grpc.max_receive_message_length", -1),
    # A server that comes back is found again soon: gRPC's own pauses grow to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
)


class GrpcTransport:
    """One channel to a server, which connects when it is first asked."""

    sends_pixels = True

    def __init__(self, address: Address):
        self._address = address
        if TLS[address.scheme]:
            credentials = grpc.ssl_channel_credentials()
            self._channel = grpc.secure_channel(address.host, credentials, _OPTIONS)
        else:
            self._channel = grpc.insecure_channel(address.host, _OPTIONS)
        self._asks = {}
        for method, answer in (
            (messages.PREDICT, "PredictResponse"),
            (messages.GET_METADATA, "GetModelMetadataResponse"),
            (messages.GET_STATUS, "GetModelStatusResponse"),
        ):
            self._asks[method] = self._channel.unary_unary(
                method,
                request_serializer=lambda request: request.SerializeToString(),
                response_deserializer=MESSAGES[answer].FromString,
            )

    def predict(
        self, signature: str, inputs: dict[str, np.ndarray], timeout_s: float
    ) -> dict[str, np.ndarray]:
        """As Transport says."""
        request = MESSAGES["PredictRequest"](model_spec=self._spec())
        request.model_spec.signature_name = signature
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(to_message(array))
        answer = self._ask(messages.PREDICT, request, timeout_s)
        try:
            return {name: from_message(tensor) for name, tensor in answer.outputs.items()}
        except ValueError as error:
            raise ServerError("INTERNAL", f"an answer that makes no sense: {error}") from None

    def signatures(self, timeout_s: float) -> dict[str, tuple[dict[str, Spec], dict[str, Spec]]]:
        """As Transport says."""
        request = MESSAGES["GetModelMetadataRequest"](
            model_spec=self._spec(), metadata_field=[messages.SIGNATURE_DEF]
        )
        answer = self._ask(messages.GET_METADATA, request, timeout_s)
        found = MESSAGES["SignatureDefMap"].FromString(answer.metadata["signature_def"].value)
        return {
            name: tuple(
                {key: spec_of_message(info) for key, info in side.items()}
                for side in (signature.inputs, signature.outputs)
            )
            for name, signature in found.signature_def.items()
        }

    def versions(self, timeout_s: float, model: str | None = None) -> dict[int | None, str]:
        """As Transport says."""
        spec = MESSAGES["ModelSpec"](name=model or self._address.model)
        request = MESSAGES["GetModelStatusRequest"](model_spec=spec)
        found = self._ask(messages.GET_STATUS, request, timeout_s).model_version_status
        return {row.version: messages.STATES.get(row.state, str(row.state)) for row in found}

    def close(self) -> None:
        """As Transport says."""
        self._channel.close()

    def _spec(self):
        spec = MESSAGES["ModelSpec"](name=self._address.model)
        if self._address.version is not None:
            spec.version.value = self._address.version
        return spec

    def _ask(self, method: str, request, timeout_s: float):
        try:
            return self._asks[method](
                request, timeout=timeout_s, metadata=self._address.headers or None
            )
        except grpc.RpcError as error:
            raise ServerError(error.code().name, error.details() or "") from None
