"""Generated code is what the schemas give now."""

from __future__ import annotations

from protos.generate import stale


def test_generated_code_is_fresh() -> None:
    assert stale() == []
