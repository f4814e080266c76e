"""The peak of a process's memory."""

from pathlib import Path


class Peak:
    """The peak of a process's memory, beyond what it had when this was made."""

    def __init__(self, pid: int) -> None:
        self._folder = Path("/proc", str(pid))
        (self._folder / "clear_refs").write_text("5")  # the peak is what there is now
        self._before = self._read("VmRSS")

    @property
    def grown(self) -> int:
        """The bytes that the process had more, at most."""
        return self._read("VmHWM") - self._before

    def require(self, most: int) -> None:
        """Fail if there was more than so many bytes more."""
        grown = self.grown
        print(f"the server's memory grew by {grown / (1 << 20):.1f} MiB at most")
        assert grown < most

    def _read(self, name: str) -> int:
        lines = (self._folder / "status").read_text().splitlines()
        (line,) = (each for each in lines if each.startswith(f"{name}:"))
        return int(line.split()[1]) << 10
