"""Paths of sections, and the section that a model reads if none is named."""

from typing import ClassVar

import pytest
from pydantic import BaseModel
from relevo_client import (
    ExecutionContext,
    InvalidFieldError,
    InvalidSectionError,
    settings,
    use_context,
)


class Inner(BaseModel, frozen=True):
    """An object within a section."""

    min_score: float


def test_paths_lead_into_sections() -> None:
    """A path names an object within a section, by names with dots or in backticks."""
    inner = {"min_score": 0.5}
    context = ExecutionContext(metadata={"pricing": inner, "top-p": {"a`b.c": inner}})
    made = context.section("metadata.pricing", Inner)
    assert made == Inner(min_score=0.5)
    assert context.section("metadata.pricing", Inner) is made
    assert context.section("metadata.`top-p`.`a``b.c`", Inner) == made
    for path in ("user_id", "_provenance", "metadata.", "metadata..a", "", "metadata[0]", "x.y"):
        with pytest.raises(InvalidFieldError) as caught:
            context.section(path, Inner)
        assert caught.value.violations[0][0] == "section"


def test_what_is_no_object() -> None:
    """A value that is no object fits no model."""
    context = ExecutionContext(metadata={"pricing": [1]})
    for path in ("metadata.pricing", "metadata.pricing.deep"):
        with pytest.raises(InvalidSectionError, match="should be an object"):
            context.section(path, Inner)


def test_settings_know_the_section_of_a_model() -> None:
    """It is the class attribute `context_section`, else the class's name in snake case."""

    class LLMConfig(BaseModel):
        model: str

    class Pricing(BaseModel):
        context_section: ClassVar[str] = "metadata.pricing"
        currency: str

    class Discount(Pricing):
        pass

    class Retrieval(BaseModel):
        pass

    context = ExecutionContext(llm_config={"model": "m"}, metadata={"pricing": {"currency": "EUR"}})
    with use_context(context):
        assert settings(LLMConfig).model == "m"
        assert settings(Pricing).currency == settings(Discount).currency == "EUR"
        with pytest.raises(TypeError, match="Retrieval is named like no section"):
            settings(Retrieval)
