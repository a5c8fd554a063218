"""Certificates for servers of tests, made fresh. Read `make_authority`."""

import datetime as dt
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class Authority:
    """A certificate authority of its own; `file` is what trusts it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    file: Path

    def issue(self, *names):
        """Return a file with a certificate for DNS names and addresses, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        entries = [_entry(name) for name in names]
        certificate = (
            _builder("leaf", issuer=self.certificate.subject, key=key, is_authority=False)
            .add_extension(x509.SubjectAlternativeName(entries), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        path = self.file.with_name(f"{'-'.join(names)}-{certificate.serial_number}.pem")
        path.write_bytes(_pem(certificate) + _private(key))
        return path

    def context(self, *names, client_authority=None):
        """Return what a server with a certificate for these names uses."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.issue(*names))
        if client_authority is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_authority.file)
        return context


def make_authority(folder, name="authority"):
    """Make an authority, with its certificate in a file of the folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(name)
    certificate = _builder(name, issuer=subject, key=key, is_authority=True).sign(
        key, hashes.SHA256()
    )
    path = folder / f"{name}.pem"
    path.write_bytes(_pem(certificate))
    return Authority(certificate=certificate, key=key, file=path)


def _builder(name, *, issuer, key, is_authority):
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )


def _subject(name):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _entry(name):
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
