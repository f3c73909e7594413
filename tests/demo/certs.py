"""Certificates for the private mail server, made with the openssl command.

A CA and the certificates it signs live in one directory. Besides the good one there are the three
kinds of bad certificate a mail client must refuse, each made only when asked for.
"""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

GOOD_NAMES = "DNS:localhost,DNS:mail.example.test,IP:127.0.0.1"
KINDS = ("good", "wrong-name", "expired", "unknown-ca")


class Certificate(NamedTuple):
    cert: Path
    key: Path


def make_ca(directory, name="ca"):
    """The CA `name` under `directory`; made when it is not there yet."""
    ca = _paths(directory, name)
    if not _exists(ca):
        _make_key(ca.key)
        _openssl("req", "-x509", "-new", "-key", ca.key, "-out", ca.cert, "-days", "3650",
                 "-subj", f"/O=postern demo/CN=Demo {name}",
                 "-addext", "basicConstraints=critical,CA:TRUE",
                 "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    return ca


def make_server(directory, kind="good"):
    """A server certificate of one of KINDS under `directory`; made when it is not there yet.

    good        signed by the CA, for localhost, mail.example.test and 127.0.0.1
    wrong-name  signed by the CA, for other.example.test only
    expired     signed by the CA, right names, ended in 2021
    unknown-ca  right names, signed by a second CA that nobody trusts
    """
    if kind not in KINDS:
        raise ValueError(f"certificate kind {kind!r} is not one of {KINDS}")
    server = _paths(directory, f"server-{kind}")
    if _exists(server):
        return server
    ca = make_ca(directory, "unknown-ca" if kind == "unknown-ca" else "ca")
    names = "DNS:other.example.test" if kind == "wrong-name" else GOOD_NAMES
    _make_key(server.key)
    _sign(server, ca, names, expired=kind == "expired")
    return server


def _sign(server, ca, names, expired):
    """Sign with `openssl ca`: unlike `openssl x509` of Debian 12 it can set both dates."""
    with tempfile.TemporaryDirectory() as scratch:
        request, config = Path(scratch, "request"), Path(scratch, "config")
        Path(scratch, "index").write_text("")
        config.write_text(
            "[ca]\ndefault_ca = demo\n"
            f"[demo]\ndatabase = {scratch}/index\nnew_certs_dir = {scratch}\nrand_serial = yes\n"
            "default_md = sha256\npolicy = any\nx509_extensions = server\n"
            "[any]\ncommonName = supplied\n"
            "[server]\nbasicConstraints = critical,CA:FALSE\nkeyUsage = critical,digitalSignature\n"
            "extendedKeyUsage = serverAuth\nauthorityKeyIdentifier = keyid\n"
            f"subjectAltName = {names}\n")
        _openssl("req", "-new", "-key", server.key, "-out", request, "-subj",
                 "/CN=" + names.split(",")[0].split(":")[1])
        dates = (["-startdate", "20200101000000Z", "-enddate", "20210101000000Z"] if expired
                 else ["-days", "3650"])
        _openssl("ca", "-batch", "-notext", "-config", config, "-cert", ca.cert,
                 "-keyfile", ca.key, "-in", request, "-out", server.cert, *dates)


def _make_key(path):
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
    os.chmod(path, 0o600)


def _paths(directory, stem):
    directory = Path(directory).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    return Certificate(directory / f"{stem}.pem", directory / f"{stem}.key")


def _exists(certificate):
    # The certificate is written last, so a run that was cut short is done again.
    return certificate.cert.exists() and certificate.cert.stat().st_size > 0


def _openssl(*words):
    done = subprocess.run(["openssl", *map(str, words)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise RuntimeError(f"openssl {words[0]}: {done.stderr.strip()}")
