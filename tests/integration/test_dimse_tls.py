"""DIMSE over TLS, received: who gets in, who does not and is told why, and what changes without a restart."""

import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificates import Authority
from corpus import make_corpus
from manifests import ca_bundle, changed, tls_secret
from pdus import DATA, LAST, command_set, data_set, message, p_data, pdv, store_values
from peer import Answered, Peer, new_uid
from processes import wait_until
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage, Verification
from routes import local_node, local_route, to
from running import Running, cli, storescu
from secure_site import NOWHERE, Site, speak

_PIECE_BYTES = 120_000


@pytest.fixture
def site(tmp_path: Path, run: Callable[..., Running]) -> Site:
    return Site(tmp_path, run)


def test_dcmtk_and_pynetdicom_store_over_tls_byte_for_byte(site: Site, tmp_path: Path) -> None:
    device = site.devices.issue("ct-1.example")
    files = make_corpus(tmp_path / "corpus", 5, ("CT_small.dcm",))
    assert storescu(site.port, files, *site.words(device)) == 0
    entity = AE(ae_title="CT1")
    entity.add_requested_context(CTImageStorage)
    entity.add_requested_context(Verification)
    association = entity.associate(
        "127.0.0.1", site.port, ae_title="CTGATE", tls_args=(site.context(device), "127.0.0.1")
    )
    assert association.is_established
    assert association.send_c_echo().Status == 0
    association.release()
    site.running.wait_for(owed=5)
    spooled = sorted((site.running.state / site.running.route / "spool").glob("instances/*/*.dcm"))
    files_kept = (path for path in spooled if path.stat().st_size)
    kept = {one.SOPInstanceUID: one.PixelData for one in map(dcmread, files_kept)}
    assert kept == {one.SOPInstanceUID: one.PixelData for one in map(dcmread, files)}


def test_a_large_instance_is_whole(site: Site) -> None:
    uid = new_uid()
    pixels = bytes(range(256)) * (256 << 10)  # 64 MiB
    data = data_set(uid) + b"\xe0\x7f\x10\0OW\0\0" + len(pixels).to_bytes(4, "little") + pixels
    peer = Peer(site.port, context=site.context(site.devices.issue("device"))).associated(maximum=0)
    assert peer.store(data, uid) == Answered(0)
    peer.release()
    (file,) = (
        path
        for path in (site.running.state / site.running.route / "spool").glob("instances/*/*.dcm")
        if path.stat().st_size > len(pixels)
    )
    assert file.read_bytes().endswith(data)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")  # it is what an old device speaks
@pytest.mark.parametrize(
    ("who", "reason"),
    [
        ("without a certificate", "ClientCertificateMissing"),
        ("of another authority", "ClientCertificateUntrusted"),
        ("with one that has expired", "ClientCertificateExpired"),
        ("with one that is not valid yet", "ClientCertificateNotYetValid"),
        ("with TLS 1.1 alone", "TLSVersionUnsupported"),
        ("with old suites alone", "NoSharedCipher"),
        ("that does not trust ours", "CertificateRefusedByDevice"),
        ("that does not encrypt", "DICOMWithoutTLS"),
        ("that is a browser", "HTTPRequest"),
    ],
)
def test_a_device_that_does_not_get_in_is_named_with_its_reason(site: Site, who: str, reason: str) -> None:
    context = site.context(site.devices.issue("device"))
    opening = b"GET / HTTP/1.1\r\n\r\n"
    if who == "without a certificate":
        context = site.context(None)
    elif who == "of another authority":
        context = site.context(site.strangers.issue("device"))
    elif who == "with one that has expired":
        context = site.context(site.devices.issue("device", days=-1))
    elif who == "with one that is not valid yet":
        context = site.context(site.devices.issue("device", begins=1))
    elif who == "with TLS 1.1 alone":
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
    elif who == "with old suites alone":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AES128-SHA256:AES256-SHA")
    elif who == "that does not trust ours":
        context = ssl.create_default_context(cafile=str(site.strangers.file))
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as plain:
        if reason == "DICOMWithoutTLS":
            peer = Peer(site.port)
            assert "closed" in str(peer.associate())
        elif reason == "HTTPRequest":
            plain.sendall(opening)
            with suppress(ConnectionResetError):
                assert plain.recv(100) == b""
        else:
            with pytest.raises(OSError):
                speak(context, plain)
    wait_until(lambda: reason in site.refused(), lambda: f"{site.refused()}\n{site.running.process.tail()}")
    assert site.serves()
    assert site.running.status()["associations"]["abortedTotal"] == {}
    shown = cli("refused", "--admin", site.running.admin, "--state", site.running.state).stdout
    assert reason in shown


def test_a_device_that_encrypts_where_the_listener_does_not(run: Callable[..., Running], tmp_path: Path) -> None:
    running = run(local_node(), to(NOWHERE), local_route())
    context = ssl.create_default_context(cafile=str(Authority(tmp_path / "any").file))
    with socket.create_connection(("127.0.0.1", running.port), timeout=20) as plain, pytest.raises(OSError):
        context.wrap_socket(plain, server_hostname="127.0.0.1")
    wait_until(
        lambda: [one["reason"] for one in running.get("/api/v1/refused")["callers"]] == ["TLSHello"], "nobody is named"
    )


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_finds_good_suites_and_no_session_to_resume(site: Site, version: str) -> None:
    certificate, key = site.devices.issue("device")
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{site.port}", version, "-CAfile", site.servers.file]
    command += ["-cert", certificate, "-key", key, "-verify_return_error"]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=60, check=False)
    assert "Verify return code: 0 (ok)" in done.stdout, done.stderr
    assert "GCM" in done.stdout or "CHACHA20" in done.stdout
    assert "Compression: NONE" in done.stdout
    assert "New Session Ticket" not in done.stdout
    assert "TLS session ticket" not in done.stdout


def suites(site: Site, *words: str) -> str:
    """Return what OpenSSL's client agrees on with a listener."""
    certificate, key = site.devices.issue("device")
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{site.port}", "-CAfile", site.servers.file]
    done = subprocess.run(
        [*command, "-cert", certificate, "-key", key, *words], input="", capture_output=True, text=True, check=False
    )
    found = re.search(r"Cipher\s*(?:is|:) (\S+)", done.stdout)
    return found[1] if found else ""


@pytest.mark.parametrize(
    ("cipher", "usual", "modified"),
    [
        ("ECDHE-RSA-AES128-GCM-SHA256", True, True),
        ("ECDHE-RSA-AES256-GCM-SHA384", True, True),
        ("ECDHE-RSA-CHACHA20-POLY1305", False, True),
        ("DHE-RSA-AES256-GCM-SHA384", False, False),
        ("ECDHE-RSA-AES256-SHA384", False, False),
        ("AES256-GCM-SHA384", False, False),
    ],
)
def test_a_listener_speaks_the_suites_of_its_profile(
    tmp_path: Path, run: Callable[..., Running], cipher: str, usual: bool, modified: bool
) -> None:
    for name, speaks in (("BCP195RFC9325", usual), ("ModifiedBCP195RFC9325", modified)):
        site = Site(tmp_path / name, run, profile=name)
        assert (suites(site, "-tls1_2", "-cipher", cipher) == cipher) == speaks, name
        assert suites(site, "-tls1_3").startswith("TLS_")


def test_handshakes_that_never_end_keep_nobody_out(tmp_path: Path, run: Callable[..., Running]) -> None:
    site = Site(tmp_path, run, handshakeTimeoutSeconds=2)
    begun = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(250)]
    for one in begun:
        try:
            one.sendall(b"\x16\x03\x01\x02")
        except OSError:
            pass  # made room for another one
    silent = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(250)]
    assert site.serves()
    begin = time.monotonic()
    for one in begun:
        one.settimeout(10)
        try:
            assert one.recv(100) in (b"", b"\x15\x03\x01\0\x02\x02\x50")
        except OSError:
            pass
    assert time.monotonic() - begin < 8
    assert site.serves()
    for one in (*begun, *silent):
        one.close()
    assert "association.failed" not in site.running.process.tail()


def test_a_handshake_a_byte_at_a_time_ends_in_time(tmp_path: Path, run: Callable[..., Running]) -> None:
    site = Site(tmp_path, run, handshakeTimeoutSeconds=2)
    with socket.create_connection(("127.0.0.1", site.port)) as slow:
        begin = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT012
            for byte in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(1000):
                slow.sendall(bytes((byte,)))
                time.sleep(0.1)
        assert time.monotonic() - begin < 6
    wait_until(lambda: "HandshakeTimedOut" in site.refused(), "nobody is named")


def test_a_renewed_certificate_is_shown_within_seconds_and_ends_no_association(site: Site) -> None:
    before = site.shown()
    standing = Peer(site.port, context=site.context(site.devices.issue("device"))).associated()
    stores = threading.Thread(target=lambda: [standing.store_one() for _ in range(20)])
    stores.start()
    begin = time.monotonic()
    site.running.write([site.certificate()])
    wait_until(lambda: site.shown() != before, "the old certificate is shown", 15)
    assert time.monotonic() - begin < 10
    stores.join()
    assert standing.store_one() == Answered(0)
    assert {one.status for one in standing.instances} == {0}
    standing.release()


def days_left(site: Site) -> float:
    """Return in how many days the listener says that what it needs ends."""
    (listener,) = site.running.status()["listeners"]
    return (datetime.fromisoformat(listener["credentialExpiresTime"]) - datetime.now(UTC)) / timedelta(days=1)


def test_a_listener_says_when_what_it_shows_or_trusts_ends(site: Site) -> None:
    assert 6.9 < days_left(site) < 7.1
    site.running.write([tls_secret("gateway-tls", *site.servers.issue("127.0.0.1", days=300))])
    wait_until(lambda: 29.9 < days_left(site) < 30.1, lambda: f"{days_left(site)}: the authority's", 15)
    later = Authority(site.running.folder / "later", "later").pem
    site.running.write([ca_bundle("callers", later + site.devices.pem)[0]])
    site.running.write([tls_secret("gateway-tls", *site.servers.issue("127.0.0.1", days=-1))])
    wait_until(lambda: days_left(site) < -0.9, lambda: f"{days_left(site)}", 15)


def test_a_certificate_renewed_in_the_midst_of_a_large_instance_changes_nothing_about_it(site: Site) -> None:
    uid = new_uid()
    pixels = bytes(range(256)) * (256 << 10)  # 64 MiB
    data = data_set(uid) + b"\xe0\x7f\x10\0OW\0\0" + len(pixels).to_bytes(4, "little") + pixels
    before, halfway = site.shown(), threading.Event()
    peer = Peer(site.port, context=site.context(site.devices.issue("device"))).associated()
    peer.send(message(1, command_set(store_values(uid))))
    for begin in range(0, len(data), _PIECE_BYTES):
        if begin > len(data) // 2 and not halfway.is_set():
            site.running.write([site.certificate()])
            wait_until(lambda: site.shown() != before, "the old certificate is shown", 15)
            halfway.set()
        piece = data[begin : begin + _PIECE_BYTES]
        flags = DATA | LAST if begin + _PIECE_BYTES >= len(data) else DATA
        peer.send(p_data(pdv(1, flags, piece)))
    assert halfway.is_set()
    assert peer.answer() == Answered(0)
    peer.release()
    folder = site.running.state / site.running.route / "spool"
    (file,) = (path for path in folder.glob("instances/*/*.dcm") if path.stat().st_size > len(pixels))
    assert file.read_bytes().endswith(data)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_whoever_shows_no_certificate_is_told_so_in_both_versions(site: Site, version: ssl.TLSVersion) -> None:
    """TLS 1.3 tells it after the handshake, on the first read."""
    context = site.context(None)
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as plain, pytest.raises(OSError):
        speak(context, plain)
    wait_until(lambda: site.refused() == ["ClientCertificateMissing"], lambda: f"{site.refused()}")
    assert site.serves()


def test_encryption_alone_asks_nobody_for_a_certificate(tmp_path: Path, run: Callable[..., Running]) -> None:
    site = Site(tmp_path, run, clientCertificates="Ignored")
    peer = Peer(site.port, context=site.context(None)).associated()
    assert peer.store_one() == Answered(0)
    peer.release()
    optional = changed(site.route, "spec.listeners.0.tls.clientCertificates", "Optional")
    before = site.running.hash()
    site.running.write([optional])
    site.running.wait_reloaded(before)
    peer = Peer(site.port, context=site.context(None)).associated()
    assert peer.store_one() == Answered(0)
    peer.release()
    stranger = site.context(site.strangers.issue("device"))
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as plain, pytest.raises(OSError):
        speak(stranger, plain)


def test_a_peer_that_ends_without_a_word_of_tls_is_gone_and_no_fault(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.port)) as plain:
        connection = site.context(site.devices.issue("device")).wrap_socket(
            plain, server_hostname="127.0.0.1", do_handshake_on_connect=True
        )
        connection.detach()
    assert site.serves()
    assert "Traceback" not in site.running.process.tail()


def test_without_its_certificate_the_listener_lets_nobody_in_and_says_why(
    tmp_path: Path, run: Callable[..., Running]
) -> None:
    site = Site(tmp_path, run)
    broken = site.certificate()
    broken["stringData"]["tls.key"] = site.certificate()["stringData"]["tls.key"]
    site.running.write([broken])
    wait_until(lambda: not site.serves(), "the broken certificate is not in use", 15)
    assert "CertificateUnusable" in site.refused()
    site.running.write([site.certificate()])
    wait_until(site.serves, "the new certificate is not in use", 15)
