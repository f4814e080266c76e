"""Contexts of a given size."""

from relevo.v1.context_pb2 import ExecutionContext


def of_size(size: int) -> ExecutionContext:
    """A context of exactly this size in bytes, in serialized form.

    Raises ValueError for the few sizes that no text gives: those at which a length takes one more
    byte, as 130.
    """
    context = ExecutionContext()
    text, tried = size, set[int]()
    while text not in tried:
        tried.add(text)
        context.llm_config["prompt"] = "x" * text
        over = context.ByteSize() - size
        if not over:
            return context
        text -= over
    raise ValueError(f"no text gives a context of {size} bytes")
