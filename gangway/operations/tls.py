"""The certificate that the proxy serves."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress

from gangway.base import output
from gangway.base.errors import Finding, GangwayError
from gangway.base.output import say
from gangway.operations.project import Project
from gangway.settings import certificates, tls
from gangway.settings.certificates import Certificate
from gangway.settings.environment import Environment

_SECONDS = 5.0
# As docker/nginx/tls-certificate calls the one that stands in.
_STANDS_IN = "until the CA has given one"


def show(project: Project) -> int:
    """Print what the certificate says; return 1 where somebody should see to it.

    It is the one that is served, where something answers, else the one that would be.
    """
    env = project.environment
    if tls.mode(env) == tls.OFF:
        print("TLS=off: nobody ends TLS here (docs/tls.md)")
        return 0
    there = _there(env)
    address = _address(project)
    found = _served(address, env) if address else None
    shown = found or there
    if shown is None:
        raise GangwayError(
            "there is no certificate to show: nothing answers, and there is no file",
            where=tls.shown(env) if tls.mode(env) != tls.ACME else None,
            fix=f"invoke {project.name}.up",
        )
    place = f"served at {address[0]}:{address[1]}" if address and found else tls.shown(env)
    rows = [
        ("names", " ".join(shown.names)),
        ("issuer", "itself" if shown.self_signed and not _stands_in(shown) else shown.issuer),
        ("good", f"from {shown.begins:%Y-%m-%d} until {shown.ends:%Y-%m-%d}"),
        ("days left", str(shown.days_left())),
        ("where", place),
    ]
    print(output.table(rows), flush=True)
    findings = list(_findings(project, shown, there if found else None))
    for finding in findings:
        say(str(finding))
    return 1 if findings else 0


def _findings(project: Project, shown: Certificate, there: Certificate | None) -> Iterator[Finding]:
    env, name = project.environment, project.name
    renew = {
        tls.ACME: f"invoke {name}.logs acme says what went wrong",
        tls.SELF_SIGNED: f"invoke {name}.init makes another",
        tls.FILES: f"put another into {tls.shown(env)}: it is taken up within seconds",
    }[tls.mode(env)]
    if _stands_in(shown):
        yield Finding("the CA has not given a certificate yet", None, renew)
        return
    days = shown.days_left()
    if days < 0:
        yield Finding(f"the certificate has ended on {shown.ends:%Y-%m-%d}", None, renew)
    elif days < tls.SOON:
        yield Finding(f"the certificate ends in {days} days", None, renew)
    for missing in (each for each in tls.names(env) if not shown.covers(each)):
        yield Finding(f"the certificate is not for {missing}", None, renew)
    if there and there.bits != shown.bits:
        fix = f"a moment later it is; else invoke {name}.logs nginx says why not"
        yield Finding("the certificate there is not the one that is served", tls.shown(env), fix)


def _stands_in(shown: Certificate) -> bool:
    return shown.issuer == _STANDS_IN


def _there(env: Environment) -> Certificate | None:
    if tls.mode(env) == tls.ACME:
        return None
    pair = certificates.read(tls.folder(env))
    if pair is None:
        return None
    if fault := certificates.fault(pair):
        raise GangwayError(fault, where=tls.shown(env), fix="put another pair there")
    return certificates.parse(pair.certificate)


def _address(project: Project) -> tuple[str, int] | None:
    for port in project.model.published():
        if port.target == tls.PORT:
            there = project.engine.host
            here = {"0.0.0.0": there or "127.0.0.1", "::": there or "::1"}
            return here.get(port.host, port.host).strip("[]"), port.port
    return None


def _served(address: tuple[str, int], env: Environment) -> Certificate | None:
    """Return the certificate that is served there, whoever it is from; None for no answer."""
    context = ssl.create_default_context()
    # It is looked at, and nothing is sent.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    name = next(iter(tls.names(env)), None)
    with (
        suppress(OSError),
        socket.create_connection(address, timeout=_SECONDS) as end,
        context.wrap_socket(end, server_hostname=name) as secured,
    ):
        bits = secured.getpeercert(binary_form=True)
        return certificates.parse(bits) if bits else None
    return None
