"""A protoc plugin for buf that runs the gRPC Python generator of grpcio-tools.

buf supports only protoc's built-in generators, and grpcio-tools ships `grpc_python`
inside its own protoc; this plugin forwards buf's request to that protoc.
"""

import sys
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2
from grpc_tools import protoc


def main() -> None:
    """Read a CodeGeneratorRequest from stdin, write its response to stdout."""
    request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    response = plugin_pb2.CodeGeneratorResponse(
        supported_features=plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    )
    with tempfile.TemporaryDirectory() as directory:
        descriptors = Path(directory, "descriptors.binpb")
        descriptors.write_bytes(
            descriptor_pb2.FileDescriptorSet(file=request.proto_file).SerializeToString()
        )
        status = protoc.main(
            [
                "protoc",
                f"--descriptor_set_in={descriptors}",
                f"--grpc_python_out={directory}",
                *request.file_to_generate,
            ]
        )
        if status != 0:
            response.error = f"grpc_python ended with {status}"
        for path in sorted(Path(directory).rglob("*_pb2_grpc.py")):
            response.file.add(
                name=path.relative_to(directory).as_posix(), content=path.read_text("utf-8")
            )
    sys.stdout.buffer.write(response.SerializeToString())


if __name__ == "__main__":
    main()
