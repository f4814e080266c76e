"""Makes the trail that the settings ask for."""

from relevo_server.audit.background import Background
from relevo_server.audit.file import AuditFile
from relevo_server.audit.trail import Sink, Trail
from relevo_server.settings import Settings
from relevo_server.telemetry.telemetry import Telemetry


class _FileSink(Background):
    """A file that records are written to in the background."""

    def __init__(self, file: AuditFile) -> None:
        super().__init__("file", file.write)
        self._file = file

    def start(self) -> None:
        """Open the file, and begin to write. Raises OSError."""
        self._file.open()
        super().start()

    def close(self, within: float) -> None:
        """Write what is left, and close the file."""
        super().close(within)
        if not self.is_running:
            self._file.close()


def opened(settings: Settings, telemetry: Telemetry) -> Trail:
    """The trail of a server. Nothing is opened before it starts."""
    sinks: list[Sink] = []
    if settings.audit_file:
        sinks.append(_FileSink(AuditFile(settings.audit_file)))
    if telemetry.records:
        export = telemetry.records
        sinks.append(Background("otlp", lambda records: export([each.fields for each in records])))
    return Trail(settings.audit, sinks)
