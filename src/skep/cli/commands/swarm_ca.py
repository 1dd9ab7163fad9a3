"""`skep swarm ca`."""

from __future__ import annotations

import time

from skep.cli.commands.swarm_flags import CERT_EXPIRY, EXTERNAL_CA, change_settings, read_pem
from skep.cli.errors import Failure
from skep.cli.flags.command import NONE, Command
from skep.cli.flags.flag import Options, switch, value
from skep.cli.flags.kinds import Kind
from skep.cli.session import Session
from skep.cli.show.live import LiveLines

_POLL_S = 0.2
_ONLY_WITH_ROTATE = ("ca-cert", "ca-key", "cert-expiry", "external-ca", "quiet", "detach")
_PEM = Kind("pem-file", read_pem)


def _ca(session: Session, options: Options, _: list[str]) -> None:
    client = session.client
    if not options.yes("rotate"):
        for name in _ONLY_WITH_ROTATE:
            if options.given(name):
                raise Failure(f"`--{name}` flag requires the `--rotate` flag to update the CA")
        _show(session)
        return
    if options.given("ca-cert") and not (options.given("ca-key") or options.given("external-ca")):
        raise Failure("the --ca-cert flag requires the --ca-key flag as well: the root's own key")
    swarm = client.get("/swarm")
    spec = swarm["Spec"]
    change_settings(spec, options)
    authority = {**(spec.get("CAConfig") or {})}
    authority["ForceRotate"] = int(authority.get("ForceRotate") or 0) + 1
    authority["SigningCACert"] = options.text("ca-cert")
    authority["SigningCAKey"] = options.text("ca-key")
    spec["CAConfig"] = authority
    client.post("/swarm/update", spec, {"version": swarm["Version"]["Index"]})
    if options.yes("detach"):
        return
    if _wait(session, quiet=options.yes("quiet")) and not options.yes("quiet"):
        _show(session)


def _show(session: Session) -> None:
    root = (session.client.get("/swarm").get("TLSInfo") or {}).get("TrustRoot")
    if not root:
        raise Failure("No CA information available")
    session.say(root.rstrip("\n"))


def _wait(session: Session, *, quiet: bool) -> bool:
    """Until every node has a certificate of the new root and trusts no other; Ctrl-C leaves it to
    go on alone. Returns whether it was awaited."""
    client = session.client
    lines = LiveLines(
        lambda text: None if quiet else session.draw(text),
        terminal=session.out_is_terminal,
    )
    try:
        while True:
            swarm, nodes = client.get("/swarm"), client.get("/nodes")
            wanted = swarm.get("TLSInfo") or {}
            trust = [(node["Description"].get("TLSInfo") or {}) for node in nodes]
            issued = sum(
                each.get("CertIssuerSubject") == wanted.get("CertIssuerSubject") for each in trust
            )
            trusting = sum(each.get("TrustRoot") == wanted.get("TrustRoot") for each in trust)
            lines.set("rotated TLS certificates", f"{issued}/{len(nodes)} nodes")
            lines.set("rotated CA certificates", f"{trusting}/{len(nodes)} nodes")
            rotating = swarm.get("RootRotationInProgress")
            if not rotating and issued == trusting == len(nodes):
                return True
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        session.say(
            "Operation continuing in background.\n"
            "Use `skep swarm ca` to see the certificate, `skep node ls` for each node's state."
        )
        return False


CA = Command(
    "",
    _ca,
    NONE,
    (
        value("--ca-cert", _PEM, "Path to the PEM-formatted root CA certificate", default=""),
        value("--ca-key", _PEM, "Path to the PEM-formatted root CA key", default=""),
        CERT_EXPIRY,
        EXTERNAL_CA,
        switch("-d --detach", "Exit immediately instead of waiting for the rotation to converge"),
        switch("-q --quiet", "Suppress progress output"),
        switch("--rotate", "Rotate the CA; new certificate and key are made if none are given"),
    ),
)
