"""The messages of TensorFlow Serving's gRPC interface that a client needs, without its packages.

tensorflow-serving-api, which defines them all, asks for a second TensorFlow. These are the fields
that are read or written here, by their numbers, which are what goes over the wire.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PREDICT = "/tensorflow.serving.PredictionService/Predict"
GET_METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
GET_STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
SIGNATURE_DEF = "signature_def"
"""The one kind of metadata that servers have."""

_PACKAGE = "r21d_keras.serving"
# Name, number and type of each field; "type*" is repeated, "{type}" a map from strings.
_FIELDS = {
    # tensorflow/core/framework: tensor_shape.proto, tensor.proto. Enumerations are int32.
    "Dim": (("size", 1, "int64"),),
    "Shape": (("dim", 2, "Dim*"), ("unknown_rank", 3, "bool")),
    "Tensor": (
        ("dtype", 1, "int32"),
        ("tensor_shape", 2, "Shape"),
        ("tensor_content", 4, "bytes"),
        ("float_val", 5, "float*"),
        ("int_val", 7, "int32*"),
        ("string_val", 8, "bytes*"),
        ("int64_val", 10, "int64*"),
    ),
    # tensorflow/core/protobuf/meta_graph.proto
    "TensorInfo": (("name", 1, "string"), ("dtype", 2, "int32"), ("tensor_shape", 3, "Shape")),
    "SignatureDef": (("inputs", 1, "{TensorInfo}"), ("outputs", 2, "{TensorInfo}")),
    # google/protobuf: wrappers.proto, any.proto
    "Int64Value": (("value", 1, "int64"),),
    "Any": (("type_url", 1, "string"), ("value", 2, "bytes")),
    # tensorflow_serving/apis: model.proto, predict.proto, prediction_log.proto
    "ModelSpec": (
        ("name", 1, "string"),
        ("version", 2, "Int64Value"),
        ("signature_name", 3, "string"),
    ),
    "PredictRequest": (("model_spec", 1, "ModelSpec"), ("inputs", 2, "{Tensor}")),
    "PredictResponse": (("outputs", 1, "{Tensor}"), ("model_spec", 2, "ModelSpec")),
    "PredictLog": (("request", 1, "PredictRequest"),),
    "PredictionLog": (("predict_log", 6, "PredictLog"),),
    # get_model_metadata.proto, get_model_status.proto, tensorflow_serving/util/status.proto
    "SignatureDefMap": (("signature_def", 1, "{SignatureDef}"),),
    "GetModelMetadataRequest": (("model_spec", 1, "ModelSpec"), ("metadata_field", 2, "string*")),
    "GetModelMetadataResponse": (("model_spec", 1, "ModelSpec"), ("metadata", 2, "{Any}")),
    "GetModelStatusRequest": (("model_spec", 1, "ModelSpec"),),
    "StatusProto": (("error_code", 1, "int32"), ("error_message", 2, "string")),
    "ModelVersionStatus": (
        ("version", 1, "int64"),
        ("state", 2, "int32"),
        ("status", 3, "StatusProto"),
    ),
    "GetModelStatusResponse": (("model_version_status", 1, "ModelVersionStatus*"),),
}
STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}
"""Of a version, by number: get_model_status.proto."""
_SCALARS = {"int32", "int64", "bool", "float", "string", "bytes"}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="r21d_keras/serving.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            _add_field(message, field, number, kind)
    return file


def _add_field(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str) -> None:
    known = descriptor_pb2.FieldDescriptorProto
    repeated = kind.endswith("*")
    if kind.startswith("{"):  # a map is a repeated message of keys and values
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string")
        _add_field(entry, "value", 2, kind.strip("{}"))
        kind, repeated = f"{message.name}.{entry.name}", True
    kind = kind.rstrip("*")
    field = message.field.add(name=name, number=number)
    field.label = known.LABEL_REPEATED if repeated else known.LABEL_OPTIONAL
    if kind in _SCALARS:
        field.type = known.Type.Value(f"TYPE_{kind.upper()}")
    else:
        field.type, field.type_name = known.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"


# A pool of its own: the one that all share may have the real definitions.
_pool = descriptor_pool.DescriptorPool()
_pool.Add(_file())
MESSAGES = {
    name: message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
    for name in _FIELDS
}
"""Their classes by name."""
