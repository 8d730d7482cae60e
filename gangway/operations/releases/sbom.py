"""What is in the images of a release: a CycloneDX document beside each, packed."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.parser import BytesHeaderParser
from pathlib import Path, PurePosixPath
from typing import Any, Final

from gangway.base.errors import GangwayError
from gangway.base.files import replace
from gangway.model.release import Image, Release
from gangway.operations import release_records as records
from gangway.operations.project import Project
from gangway.settings import checkout

_VERSION: Final = "1.6"
_ROOT: Final = "image"
_DPKG: Final = "var/lib/dpkg/"
# What debsbom reads, and all of it that makes a difference.
_DEBIAN: Final = (f"{_DPKG}status", f"{_DPKG}status.d", f"{_DPKG}arch", f"{_DPKG}arch-native")
_DEBSBOM: Final = "from debsbom.cli import main; main()"

# Debian's words for machines that have another name elsewhere.
_ARCHITECTURES: Final = {"arm": "armhf", "386": "i386", "ppc64le": "ppc64el"}

Document = dict[str, Any]


def sbom_file(name: str, service: str) -> str:
    """Return the path of what is in the image of a service of a release."""
    return f"sboms/{name}/{service}.cdx.json.gz"


def made(project: Project, release: Release, known: records.Known) -> dict[str, str]:
    """Return the documents of a release's images, each under its first service, by their paths.

    That of an image that an earlier release had is taken from there.
    """
    there = project.engine.production.records.read()
    first = _first_services(release)
    found: dict[str, str] = {}
    for number, service in first.items():
        for earlier in known.releases:
            path = sbom_file(earlier.name, _first_services(earlier).get(number, ""))
            if text := there.get(path):
                found[service] = text
                break
    new = [service for service in first.values() if service not in found]
    with ThreadPoolExecutor(max_workers=2) as pool:
        texts = pool.map(lambda service: _made(project, release.images[service]), new)
        found |= dict(zip(new, texts, strict=True))
    return {sbom_file(release.name, service): text for service, text in found.items()}


def show(project: Project, service: str, name: str) -> None:
    """Print what is in the image of a service: of a named release, of what runs, or the newest."""
    known = records.load(project.engine.production.records)
    newest = known.current or next(iter(known.releases), None)
    release = known.find(name) if name else newest
    if release is None:
        raise GangwayError(
            f"{project.name} has no release", fix=f"invoke {project.name}.build makes one"
        )
    if service not in release.images:
        raise GangwayError(
            f"{release.name} has no image of a service {service!r} that is built here",
            fix=f"there are: {', '.join(sorted(release.images))}",
        )
    owner = _first_services(release)[release.images[service].id]
    text = project.engine.production.records.read().get(sbom_file(release.name, owner))
    if not text:
        raise GangwayError(f"nothing is known of what is in {release.images[service].ref}")
    print(unpacked(text))


def packed(document: Document) -> str:
    """Return a document as it is kept: JSON by gzip, as text."""
    data = json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()


def unpacked(text: str) -> str:
    """Return what was packed, as JSON."""
    return gzip.decompress(base64.b64decode(text)).decode()


def is_wanted(path: str) -> bool:
    """Say whether a file of an image tells of what is installed."""
    name = PurePosixPath(path)
    if path.startswith(_DPKG):
        return path.startswith(_DEBIAN)
    if name.name == "METADATA":
        return name.parent.suffix == ".dist-info"
    if name.name == "package.json":
        above = name.parents[2 if name.parent.parent.name.startswith("@") else 1].name
        return above == "node_modules"
    return name.name == "PKG-INFO" and name.parent.suffix == ".egg-info"


def document(image: Image, files: Mapping[str, bytes], packages: Document | None) -> Document:
    """Return what is in an image by these of its files; `packages` is Debian's part."""
    components: dict[str, Document] = {}
    for component in (*_python(files), *_npm(files)):
        same = components.setdefault(component["purl"], component)
        if same is not component:
            same["properties"] += component["properties"]
    repository, _, tag = image.ref.rpartition(":")
    known: Document = packages or {}
    everything = [*(known.get("components") or ()), *components.values()]
    graph = [each for each in known.get("dependencies") or () if "CDXRef-" not in each["ref"]]
    refs = sorted(each["bom-ref"] for each in everything)
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": _VERSION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, image.id)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "container",
                "bom-ref": _ROOT,
                "name": repository,
                "version": tag,
                "hashes": [{"alg": "SHA-256", "content": image.id.removeprefix("sha256:")}],
            },
            "tools": {"components": [{"type": "application", "name": "gangway"}]},
        },
        "components": sorted(everything, key=lambda each: str(each["bom-ref"])),
        "dependencies": [{"ref": _ROOT, "dependsOn": refs}, *graph],
    }


def _first_services(release: Release) -> dict[str, str]:
    """Return the first service that has an image, by the image's number."""
    found: dict[str, str] = {}
    for service, image in sorted(release.images.items()):
        found.setdefault(image.id, service)
    return found


def _made(project: Project, image: Image) -> str:
    files = project.engine.production.images.files(image, is_wanted)
    return packed(document(image, files, debian(project.root, files, image.platform)))


def debian(root: Path, files: Mapping[str, bytes], platform: str) -> Document | None:
    """Return what debsbom says of the packages in an image, None where it has none.

    Images with the same packages have the same base, mostly: it is kept for the next one.
    """
    found = {path: data for path, data in sorted(files.items()) if path.startswith(_DPKG)}
    if not found:
        return None
    digest = hashlib.sha256(b"\0".join(found.values())).hexdigest()[:32]
    kept = checkout.state(root, f"debian-{digest}.json")
    try:
        return dict(json.loads(kept.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        pass
    with tempfile.TemporaryDirectory(prefix="gangway-") as place:
        top, out = Path(place, "root"), Path(place, "sbom.cdx.json")
        for path, data in found.items():
            file = top / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        words = ["generate", "--sbom-type", "cdx", "--cdx-schema-version", _VERSION]
        machine = platform.split("/")[1]
        words += ["--distro-arch", _ARCHITECTURES.get(machine, machine), "--no-recommends-deps"]
        words += ["--root", str(top), "--out", str(out)]
        argv = [sys.executable, "-c", _DEBSBOM, *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if not out.exists():
            said = (done.stderr.strip() or "no reason given").splitlines()[-1]
            raise GangwayError(
                f"debsbom can't read an image's packages: {said}",
                fix=f"{sys.executable} -m pip install 'debsbom[cdx]'",
            )
        text = out.read_text(encoding="utf-8")
    replace(kept, text)
    return dict(json.loads(text))


def _python(files: Mapping[str, bytes]) -> Iterator[Document]:
    for path, data in files.items():
        if PurePosixPath(path).name not in ("METADATA", "PKG-INFO"):
            continue
        fields = BytesHeaderParser().parsebytes(data)
        name, version = str(fields["Name"] or ""), str(fields["Version"] or "")
        if name and version:
            licence = str(fields["License-Expression"] or "")
            chosen = [{"expression": licence}] if licence else []
            yield _component("pypi", (), name, version, path, chosen)


def _npm(files: Mapping[str, bytes]) -> Iterator[Document]:
    for path, data in files.items():
        if PurePosixPath(path).name != "package.json":
            continue
        try:
            found = json.loads(data)
            whole, version = str(found["name"]), str(found["version"])
        except (ValueError, KeyError, TypeError):
            continue  # none of a package: a test's, or one that only says what kind of modules
        *scope, name = whole.split("/")
        licence = found.get("license")
        chosen = [{"license": {"name": licence}}] if isinstance(licence, str) and licence else []
        yield _component("npm", scope, name, version, path, chosen)


def _component(
    kind: str,
    scope: Sequence[str],
    name: str,
    version: str,
    path: str,
    licences: Iterable[Document],
) -> Document:
    # Imported late: no other task needs it.
    from packageurl import PackageURL

    address = PackageURL(kind, "/".join(scope) or None, name, version).to_string()
    found: Document = {
        "type": "library",
        "bom-ref": address,
        "name": name,
        "version": version,
        "purl": address,
        "properties": [{"name": "gangway:path", "value": f"/{path}"}],
    }
    if scope:
        found["group"] = "/".join(scope)
    if chosen := list(licences):
        found["licenses"] = chosen
    return found
