"""The differences between two contexts, value by value."""

from typing import Literal, NamedTuple

from relevo_cli import values
from relevo_cli.documents import Json

Sign = Literal["+", "-", "~"]


class Difference(NamedTuple):
    """A value that was added (`+`), removed (`-`) or replaced (`~`)."""

    sign: Sign
    path: str
    old: Json = None
    new: Json = None

    @property
    def text(self) -> str:
        """The difference on one line."""
        match self.sign:
            case "+":
                return f"+ {self.path}  {values.text(self.new)}"
            case "-":
                return f"- {self.path}  {values.text(self.old)}"
            case "~":
                return f"~ {self.path}  {values.text(self.old)} → {values.text(self.new)}"

    @property
    def document(self) -> Json:
        """The difference as JSON: `sign`, `path`, and `old` and `new` as they apply."""
        has = {"+": ("new",), "-": ("old",), "~": ("old", "new")}[self.sign]
        return {
            "sign": self.sign,
            "path": self.path,
            **{name: getattr(self, name) for name in has},
        }


def differences(old: Json, new: Json) -> list[Difference]:
    """The changes between two objects: in the order of the new one, then the removed parts."""
    before, after = (dict(values.members(document)) for document in (old, new))
    found: list[Difference] = []
    for path, value in after.items():
        if path not in before:
            found.append(Difference("+", path, new=value))
        elif values.text(before[path]) != values.text(value):  # to Python, 1 equals true
            found.append(Difference("~", path, before[path], value))
    gone = (path for path in before if path not in after)
    return [*found, *(Difference("-", path, before[path]) for path in gone)]
