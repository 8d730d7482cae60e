"""A link to a folder beside the app's isn't in its containers, and that is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gangway.operations import links
from gangway.operations.project import opened
from gangway.settings.environment import load

if TYPE_CHECKING:
    from tests.unit.conftest import Checkout

SERVICES = """services:
  api: {image: x, build: {context: ., args: {APP: apps/api}}}
"""


@pytest.mark.parametrize(
    ("link", "target", "told"),
    [
        (
            "apps/api/shared",
            "../../libs",
            "apps/api/shared leads to libs, and containers have apps/api alone: with API_SOURCE=. "
            "and API_WORKDIR=apps/api in the stack's file they have both\n",
        ),
        ("apps/api/api/own", "../other", ""),
        ("apps/api/node_modules", "../../libs", ""),
        ("apps/api/elsewhere", "/usr", ""),
        ("apps/api/README.md", "../../c.yml", ""),
    ],
)
def test_a_link_out_of_the_app_s_folder_is_told(
    checkout: Checkout, capsys: pytest.CaptureFixture[str], link: str, target: str, told: str
) -> None:
    root = checkout(
        {
            "env/dev.env": "ENVIRONMENT=development\nCOMPOSE_FILE=c.yml\nCOMPOSE_PROJECT_NAME=x\n",
            "c.yml": SERVICES,
            "libs/it.py": "",
            "apps/api/other/it.py": "",
            "apps/api/api/main.py": "",
        }
    )
    (root / link).symlink_to(target)
    links.warn(opened(load(root, "dev", engine="docker", shell={}), dry_run=True), ["api"])
    assert capsys.readouterr().err == told
