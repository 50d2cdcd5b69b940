"""Certificates of the cluster, and the kubeconfigs that hold them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

DAYS = 30
ADMINS = "system:masters"
SERVICE_IP = "10.96.0.1"
"""The first address of the range for services: the API server's own."""


class Authority:
    """The cluster's own authority: who holds a certificate of it is who the certificate says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tidelock-rig")])
        builder = _valid(x509.CertificateBuilder().subject_name(self._name), self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.ca = folder / "ca.crt"
        self.ca.write_bytes(_pem(builder.issuer_name(self._name).sign(self._key, hashes.SHA256())))
        _write_service_account_keys(folder)

    def issue(self, file: str, user: str, groups: Sequence[str] = (), hosts: Sequence[str] = ()) -> tuple[Path, Path]:
        """A certificate for a user or a server, as files `(certificate, key)`."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in groups]
        subject = x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, user)])
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = _valid(x509.CertificateBuilder().subject_name(subject), key.public_key())
        builder = builder.issuer_name(self._name).add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_host(each) for each in hosts]), False)
        certificate, secret = self.folder / f"{file}.crt", self.folder / f"{file}.key"
        certificate.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))
        _write_key(secret, key)
        return certificate, secret

    def kubeconfig(self, file: str, server: str, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig for `user`, as a file. JSON is YAML too."""
        certificate, key = self.issue(file, user, groups)
        by = {"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)}
        return self.written(file, server, user, by)

    def written(self, file: str, server: str, user: str, by: Mapping[str, str]) -> Path:
        """A kubeconfig for a user who is known `by` a certificate or a token."""
        at = {"server": server, "certificate-authority-data": _base64(self.ca)}
        data = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "rig", "cluster": at}],
            "users": [{"name": user, "user": dict(by)}],
            "contexts": [{"name": "rig", "context": {"cluster": "rig", "user": user}}],
            "current-context": "rig",
        }
        path = self.folder / f"{file}.kubeconfig"
        path.write_text(json.dumps(data))
        path.chmod(0o600)
        return path


def _valid(builder: x509.CertificateBuilder, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = builder.public_key(key).serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=DAYS))


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    how = serialization.PrivateFormat.TraditionalOpenSSL
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, how, serialization.NoEncryption()))
    path.chmod(0o600)


def _write_service_account_keys(folder: Path) -> None:
    """What tokens of service accounts are signed with."""
    key = rsa.generate_private_key(65537, 2048)
    _write_key(folder / "sa.key", key)
    how = serialization.PublicFormat.SubjectPublicKeyInfo
    (folder / "sa.pub").write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, how))


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
