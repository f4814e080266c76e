"""Contexts through queues: actions carry a reference, which is resolved for their handlers.

For FastStream there is `relevo_client.actions.faststream`.
"""

from relevo_client.actions._aio_binding import aio_bound
from relevo_client.actions._blocking_binding import bound
from relevo_client.actions._losses import QueueLostError
from relevo_client.actions._model import ActionFailure, DomainAction
from relevo_client.actions._stamping import stamp

__all__ = ["ActionFailure", "DomainAction", "QueueLostError", "aio_bound", "bound", "stamp"]
