"""Contexts of a given size, and such as a platform has them."""

from relevo.v1.context_pb2 import ExecutionContext


def of_size(size: int) -> ExecutionContext:
    """A context that has exactly this many bytes, serialized."""
    context = ExecutionContext()
    text = size
    while True:
        context.llm_config["prompt"] = "x" * text
        over = context.ByteSize() - size
        if not over:
            return context
        text -= over
