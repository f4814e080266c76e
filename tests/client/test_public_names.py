"""The public names: those of the previous release remain for one more release."""

import re
import warnings
from typing import Any

import pytest
import relevo_client
from relevo_client import Fallback, Policy


def test_an_old_name_is_the_new_one() -> None:
    """`Action` is `Fallback`, with a warning for its user."""
    with pytest.warns(DeprecationWarning, match=re.escape("relevo_client.Fallback")) as warned:
        from relevo_client import Action  # noqa: PLC0415
    assert {each.filename for each in warned} == {__file__}
    assert Action is Fallback
    assert Policy(unavailable=Action.PROCEED) == Policy(unavailable=Fallback.PROCEED)


def test_who_does_not_use_it_is_not_warned() -> None:
    """`import *` does not include the old name, and causes no warning."""
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec("from relevo_client import *", names)  # noqa: S102
    assert set(relevo_client.__all__) <= names.keys()
    assert "Action" not in names


def test_a_name_that_never_was() -> None:
    """Any other name raises AttributeError, as in any module."""
    with pytest.raises(AttributeError, match="'relevo_client' has no attribute 'Actoin'"):
        getattr(relevo_client, "Actoin")  # noqa: B009
    assert not hasattr(relevo_client, "__path_of_nothing__")
