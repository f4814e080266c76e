"""Functions of a service, which settings name by their place."""

from relevo_client import ContextRef, ExecutionContext


async def begin(identity: ExecutionContext) -> ExecutionContext:
    """Begin a conversation."""
    return identity.update(llm_config={"model": "m-begun"})


def may(ref: ContextRef, _: object) -> bool:
    """Whether a caller may use a context."""
    return ref.key.tenant_id == "acme"
