"""Tests only: the apps' tests in a throw-away copy of the stack."""

from __future__ import annotations

from typing import Annotated as A

from gangway.operations.project import Project
from gangway.tasks.options import After, Option


def run(
    project: Project,
    *paths: A[str, Option("test files or folders; all where none is named")],
    expression: A[str, Option("only tests whose names match, as pytest's -k", "k")] = "",
    cov: A[bool, Option("measure coverage")] = False,
    keep: A[bool, Option("leave the stack up afterwards")] = False,
    after: After,
) -> int:
    """Run the apps' tests in a throw-away copy; what stands after -- goes to pytest."""
    from gangway.operations import testing

    options = testing.TestOptions(paths, expression, cov, keep, tuple(after))
    return testing.run(project, options)
