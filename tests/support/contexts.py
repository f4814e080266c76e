"""Contexts of a given size."""

from relevo.v1.context_pb2 import ExecutionContext


def of_size(size: int) -> ExecutionContext:
    """A context of exactly this size in bytes, in serialized form."""
    context = ExecutionContext()
    text = size
    while True:
        context.llm_config["prompt"] = "x" * text
        over = context.ByteSize() - size
        if not over:
            return context
        text -= over
