"""The audit: a record of each write, denial, failed authentication, reload and administrative act.

Records name who did what to which key, and how it ended. They never have a value.
"""

from relevo_server.audit.opening import opened
from relevo_server.audit.records import Event, Record
from relevo_server.audit.trail import SILENT, Trail

__all__ = ["SILENT", "Event", "Record", "Trail", "opened"]
