"""Certificates: read, made, and put where the proxy takes them from.

`cryptography` is imported where it is needed: few tasks are about certificates.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gangway.base.errors import GangwayError
from gangway.settings import secrets

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

CERTIFICATE: Final = "certificate.pem"
KEY: Final = "key.pem"

# Browsers take none that is valid for longer.
_VALID: Final = timedelta(days=397)
_AUTHORITY_VALID: Final = timedelta(days=3650)
# A clock may be slow.
_EARLIER: Final = timedelta(hours=1)
# What an authority of a machine's own may vouch for: that machine, and names that nobody can own.
_ITS_NAMES: Final = ("localhost", "test", "localdomain", "internal")
_ITS_NETWORKS: Final = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True)
class Certificate:
    """What a certificate says; `bits` is the certificate itself, as DER."""

    names: tuple[str, ...]
    issuer: str
    begins: datetime
    ends: datetime
    self_signed: bool
    bits: bytes

    def days_left(self, now: datetime | None = None) -> int:
        """Return the whole days until it ends; negative once it has ended."""
        return (self.ends - (now or datetime.now(UTC))).days

    def covers(self, name: str) -> bool:
        """Say whether it is for a name, by itself or by a wildcard."""
        wanted = name.lower()
        wildcard = "*." + wanted.partition(".")[2]
        return any(own.lower() in (wanted, wildcard) for own in self.names)


@dataclass(frozen=True)
class Pair:
    """A certificate, those that vouch for it behind it, and its key: all as PEM."""

    certificate: bytes
    key: bytes


def parse(data: bytes) -> Certificate:
    """Return what the first certificate of a PEM file says, or of DER.

    Raises ValueError where there is none.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    pem = b"-----BEGIN" in data
    found = x509.load_pem_x509_certificate(data) if pem else x509.load_der_x509_certificate(data)
    try:
        extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [str(name.value) for name in extension]
    except x509.ExtensionNotFound:
        names = []
    return Certificate(
        tuple(names), _shown(found.issuer), found.not_valid_before_utc, found.not_valid_after_utc,
        found.issuer == found.subject, found.public_bytes(Encoding.DER),
    )  # fmt: skip


def fault(pair: Pair) -> str | None:
    """Return what is wrong with a pair of files, None where they go together."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_private_key,
    )

    try:
        certificate = x509.load_pem_x509_certificate(pair.certificate)
    except ValueError:
        return f"{CERTIFICATE} is no certificate"
    try:
        key = load_pem_private_key(pair.key, None)
    except (TypeError, ValueError):
        return f"{KEY} is no key, or has a passphrase"
    wanted, given = (
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for public in (certificate.public_key(), key.public_key())
    )
    return None if wanted == given else f"{KEY} is another certificate's key"


def self_signed(names: Sequence[str], valid: timedelta = _VALID) -> Pair:
    """Make a certificate for these names that vouches for itself, and its key."""
    key = _new_key()
    subject = _called(names[0])
    builder = _builder(subject, subject, key, valid)
    return _signed(_for_server(builder, names), key, key)


def authority(owner: str) -> Pair:
    """Make an authority for one machine; `owner` is part of its name.

    It can vouch for that machine alone, and for names that nobody can own: whoever steals its key
    can't pretend to be anybody else.
    """
    from ipaddress import ip_network

    from cryptography import x509

    key = _new_key()
    subject = _called(f"Gangway development CA of {owner}")
    allowed = [x509.DNSName(name) for name in _ITS_NAMES]
    networks = [x509.IPAddress(ip_network(network)) for network in _ITS_NETWORKS]
    builder = (
        _builder(subject, subject, key, _AUTHORITY_VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints([*allowed, *networks], None), critical=True)
    )
    return _signed(builder, key, key)


def issued(names: Sequence[str], by: Pair) -> Pair:
    """Make a certificate for these names that the authority vouches for, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    issuer = x509.load_pem_x509_certificate(by.certificate)
    signer = load_pem_private_key(by.key, None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError("an authority's key is one that authority() has made")
    key = _new_key()
    builder = _builder(_called(names[0]), issuer.subject, key, _VALID).add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
    )
    pair = _signed(_for_server(builder, names), key, signer)
    return Pair(pair.certificate + by.certificate, pair.key)


def read(folder: Path) -> Pair | None:
    """Return what lies in a folder; None where a file is missing.

    Raises GangwayError where one cannot be read.
    """
    try:
        return Pair((folder / CERTIFICATE).read_bytes(), (folder / KEY).read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise GangwayError(
            f"cannot be read: {error.strerror}", where=str(error.filename), fix=f"ls -ld {folder}"
        ) from None


def write(folder: Path, pair: Pair, owner: tuple[int, int] | None = None) -> None:
    """Put a pair into a folder (mode 0700, its files 0600), each in place of the one before.

    Raises GangwayError where the system refuses.
    """
    try:
        secrets.make_directory(folder, owner)
        # The key first: whoever watches for the certificate finds its key beside it.
        for name, data in ((KEY, pair.key), (CERTIFICATE, pair.certificate)):
            new = folder / f"{name}.new"
            new.unlink(missing_ok=True)
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                if owner:
                    os.fchown(descriptor, *owner)
                file.write(data)
            new.replace(folder / name)
    except OSError as error:
        raise GangwayError(
            f"cannot be written: {error.strerror}",
            where=str(error.filename or folder),
            fix=f"ls -ld {folder}",
        ) from None


def is_open(path: Path) -> bool:
    """Say whether others than the owner can read a file."""
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def _shown(name: x509.Name) -> str:
    from cryptography.x509.oid import NameOID

    for part in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        if found := name.get_attributes_for_oid(part):
            common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
            texts = dict.fromkeys(str(each.value) for each in (*found, *common))
            return " ".join(texts)
    return name.rfc4514_string()


def _called(name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    # No common name is longer.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _new_key() -> ec.EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, valid: timedelta
) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now - _EARLIER + valid)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _for_server(builder: x509.CertificateBuilder, names: Iterable[str]) -> x509.CertificateBuilder:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    general = [_general(name) for name in names]
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(general), critical=False)
    )


def _general(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates, key_cert_sign=signs_certificates,
        crl_sign=signs_certificates, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _signed(
    builder: x509.CertificateBuilder,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
) -> Pair:
    from cryptography.hazmat.primitives import hashes, serialization

    return Pair(
        builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
