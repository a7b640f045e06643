"""Our client of KFP: as whom it asks, whom it believes, and what it says when something is wrong."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nodewise.core.engine.kubeflow.client import KfpClient
from nodewise.core.engine.kubeflow.connection import KfpConnection
from nodewise.core.engine.kubeflow.errors import KfpUnauthorized, KfpUnavailable
from tests.support.kfp_server.faults import Fault
from tests.support.kfp_server.server import KfpServer


@contextmanager
def client_of(server: KfpServer, **options: Any) -> Iterator[KfpClient]:
    client = KfpClient(KfpConnection(url=server.url, read_seconds=5.0, **options))
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of 127.0.0.1 that signs itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test server")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = (
        builder.not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path = tmp_path / "server.pem"
    path.write_bytes(pem + signed.public_bytes(serialization.Encoding.PEM))
    return path


def test_a_bearer_token_is_sent() -> None:
    with KfpServer(token="secret") as server:
        with client_of(server, token="secret") as client:
            assert client.version() == "2.17.0"
        with (
            client_of(server, token="wrong") as client,
            pytest.raises(KfpUnauthorized, match="no user identity"),
        ):
            client.version()


def test_a_token_file_is_read_anew_for_each_request(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first\n", encoding="utf-8")
    with KfpServer(token="first") as server, client_of(server, token_file=path) as client:
        assert client.version()
        server.token = "second"
        with pytest.raises(KfpUnauthorized):
            client.version()
        path.write_text("second\n", encoding="utf-8")
        assert client.version()
        path.unlink()
        with pytest.raises(KfpUnauthorized, match="token file"):
            client.version()


def test_a_cookie_is_sent() -> None:
    with KfpServer(cookie="authservice_session=abc") as server:
        with client_of(server, cookie="authservice_session=abc") as client:
            assert client.version()
        with client_of(server) as client, pytest.raises(KfpUnauthorized):
            client.version()


def test_credentials_do_not_show_when_a_connection_is_printed() -> None:
    connection = KfpConnection(url="http://kfp", token="secret", cookie="secret")
    assert "secret" not in repr(connection)


@pytest.mark.parametrize(
    "options", [{"url": "kfp:8888"}, {"url": "http://kfp", "token": "a", "token_file": Path("b")}]
)
def test_a_connection_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"http|both"):
        KfpConnection(**options)


def test_tls_is_checked_against_the_authority_that_is_named(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with KfpServer(tls=context) as server:
        with client_of(server, ca_file=certificate) as client:
            assert client.version()
        with (
            client_of(server) as client,
            pytest.raises(KfpUnavailable, match=r"(?i)certificate|ssl") as caught,
        ):
            client.version()
        assert not caught.value.uncertain


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_tls_may_be_left_unchecked(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with KfpServer(tls=context) as server, client_of(server, verify_tls=False) as client:
        assert client.version()


def test_a_server_that_is_down_did_nothing(server: KfpServer, kfp: KfpClient) -> None:
    kfp.version()
    server.down()
    for _ in range(2):
        with pytest.raises(KfpUnavailable):
            kfp.get_run("some")
    with pytest.raises(KfpUnavailable, match="no connection") as caught:
        kfp.get_run("some")
    assert not caught.value.uncertain
    server.up()
    assert kfp.get_run("some") is None


@pytest.mark.parametrize(
    "fault", [Fault.ERROR_BEFORE, Fault.ERROR_AFTER, Fault.CUT_AFTER, Fault.SLOW_AFTER, Fault.GARBAGE]
)
def test_what_may_have_had_its_effect_is_uncertain(server: KfpServer, kfp: KfpClient, fault: Fault) -> None:
    server.faults.add(fault)
    with pytest.raises(KfpUnavailable) as caught:
        kfp.get_run("some")
    assert caught.value.uncertain
    assert kfp.get_run("some") is None


def test_nothing_is_sent_twice_by_itself(server: KfpServer, kfp: KfpClient) -> None:
    server.faults.add(Fault.CUT_BEFORE)
    with pytest.raises(KfpUnavailable):
        kfp.get_run("some")
    assert len(server.requests) == 1


def test_too_many_requests_had_no_effect(server: KfpServer, kfp: KfpClient) -> None:
    server.faults.add(Fault.ERROR_BEFORE, status=429)
    with pytest.raises(KfpUnavailable) as caught:
        kfp.get_run("some")
    assert not caught.value.uncertain


def test_a_redirect_to_a_login_page_is_a_matter_of_credentials(server: KfpServer, kfp: KfpClient) -> None:
    server.faults.add(Fault.ERROR_BEFORE, status=302)
    with pytest.raises(KfpUnauthorized):
        kfp.get_run("some")


def test_a_proxy_that_has_no_route_is_not_a_kfp_without_the_run(server: KfpServer) -> None:
    client = KfpClient(KfpConnection(url=f"{server.url}/elsewhere"))
    try:
        server.faults.add(Fault.NO_ROUTE)
        with pytest.raises(KfpUnavailable, match="not Kubeflow Pipelines"):
            client.get_run("some")
    finally:
        client.close()


def test_an_id_cannot_lead_to_another_path(server: KfpServer, kfp: KfpClient) -> None:
    assert kfp.get_run("../experiments") is None
    assert server.requests == [("GET", "/apis/v2beta1/runs/..%2Fexperiments")]
