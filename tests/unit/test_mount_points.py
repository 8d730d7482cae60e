"""The folders of a checkout that volumes are mounted on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gangway.base.errors import GangwayError
from gangway.model import mount_points
from gangway.model.model import Model


def model(source: Path, *mounts: dict[str, str], tmpfs: tuple[str, ...] = ()) -> Model:
    bind = {"type": "bind", "source": str(source), "target": "/srv/app"}
    service: dict[str, Any] = {"volumes": [bind, *mounts], "tmpfs": list(tmpfs)}
    return Model({"name": "shop-dev", "services": {"api": service}})


def test_the_folder_of_a_volume_inside_the_sources_is_made(tmp_path: Path) -> None:
    media = {"type": "volume", "source": "media", "target": "/srv/app/shop/media"}
    mount_points.make(model(tmp_path, media))
    assert (tmp_path / "shop" / "media").is_dir()


def test_so_is_that_of_a_tmpfs(tmp_path: Path) -> None:
    mount_points.make(model(tmp_path, tmpfs=("/srv/app/cache:mode=1777",)))
    assert (tmp_path / "cache").is_dir()


def test_a_volume_elsewhere_needs_none(tmp_path: Path) -> None:
    data = {"type": "volume", "source": "data", "target": "/var/lib/data"}
    mount_points.make(model(tmp_path, data, tmpfs=("/tmp:mode=1777",)))
    assert not list(tmp_path.iterdir())


def test_a_file_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "media").write_text("")
    media = {"type": "volume", "source": "media", "target": "/srv/app/media"}
    with pytest.raises(GangwayError, match="the folder can't be made") as raised:
        mount_points.make(model(tmp_path, media))
    assert raised.value.where == str(tmp_path / "media")
