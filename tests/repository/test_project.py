"""Which code is the user's own."""

from __future__ import annotations

from types import ModuleType

from featurestore.repository.project import is_project_module


def test_a_module_that_says_it_has_no_path_is_judged_by_its_name() -> None:
    stub = ModuleType("stubbed")
    stub.__path__ = None  # type: ignore[assignment]  # As stubs of optional libraries have it.
    assert is_project_module(stub)
    standard = ModuleType("json")
    standard.__path__ = None  # type: ignore[assignment]  # As above.
    assert not is_project_module(standard)
