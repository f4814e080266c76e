"""The shared parts of one server's services."""

from typing import NamedTuple

from relevo_server.access.access import Access
from relevo_server.audit import Trail
from relevo_server.event_log.copies import Copies
from relevo_server.event_log.followers import Followers
from relevo_server.service.activity import Activity
from relevo_server.service.admission import Admission
from relevo_server.service.reads import Reader
from relevo_server.service.shares import Shares
from relevo_server.service.unsent import Unsent
from relevo_server.service.watch import Watching
from relevo_server.settings import Settings
from relevo_server.storage.interface import Storage
from relevo_server.wire.entries import Entries
from relevo_server.workers import Worker


class Parts(NamedTuple):
    """The parts of a running ContextStore that the Admin service looks at."""

    storage: Storage
    settings: Settings
    access: Access
    admission: Admission
    unsent: Unsent
    copies: Copies
    followers: Followers
    watching: Watching
    reader: Reader
    entries: Entries
    activity: Activity
    shares: Shares
    trail: Trail
    worker: Worker
