"""The names of the public face: those of the release before are there for one more release."""

import re
import warnings
from typing import Any

import pytest
import relevo_client
from relevo_client import Fallback, Policy


def test_an_old_name_is_the_new_one() -> None:
    """`Action` is `Fallback`, and says so where it is used."""
    with pytest.warns(DeprecationWarning, match=re.escape("relevo_client.Fallback")) as warned:
        from relevo_client import Action  # noqa: PLC0415
    assert {each.filename for each in warned} == {__file__}
    assert Action is Fallback
    assert Policy(unavailable=Action.PROCEED) == Policy(unavailable=Fallback.PROCEED)


def test_who_does_not_use_it_is_not_warned() -> None:
    """The old name is not among those that `import *` takes."""
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec("from relevo_client import *", names)  # noqa: S102
    assert set(relevo_client.__all__) <= names.keys()
    assert "Action" not in names


def test_a_name_that_never_was() -> None:
    """Any other name is an AttributeError, as with any module."""
    with pytest.raises(AttributeError, match="'relevo_client' has no attribute 'Actoin'"):
        getattr(relevo_client, "Actoin")  # noqa: B009
    assert not hasattr(relevo_client, "__path_of_nothing__")
