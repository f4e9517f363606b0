"""Orthanc over TLS, as the device that sends and as the PACS that is sent to."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from certificates import Authority
from corpus import make_corpus, uid_of
from manifests import ca_bundle, changed, tls_secret
from orthanc import Orthanc
from ports import free_port
from pydicom import dcmread
from routes import local_node, pacs, to_pacs
from running import Running


def encrypting(authority: Authority) -> dict[str, Any]:
    """Return what an Orthanc is told: its certificate, for both roles, and whom it trusts."""
    certificate, key = authority.issue("127.0.0.1")
    return {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(certificate),
        "DicomTlsPrivateKey": str(key),
        "DicomTlsTrustedCertificates": str(authority.file),
        "DicomTlsRemoteCertificateRequired": True,
    }


def test_orthanc_sends_and_takes_over_tls(
    tmp_path: Path, run: Callable[..., Running], any_orthanc: Callable[..., Orthanc]
) -> None:
    authority = Authority(tmp_path / "authority")
    port = free_port()
    archive = any_orthanc(dicom_port=port, further={"DicomAet": "PACS", **encrypting(authority)})
    shown = tls_secret("gateway-tls", *authority.issue("127.0.0.1"))  # for both roles
    ours = {"name": "gateway-tls"}
    authorities, bundle = ca_bundle("authorities", authority.pem)
    node = pacs(port, tls={"caBundleRef": bundle, "clientCertificateRef": ours})
    route = changed(to_pacs(), "spec.listeners.0.tls", {"certificateRef": ours, "clientCABundleRef": bundle})
    running = run(local_node(), node, shown, authorities, route)
    gateway = {"AET": "CTGATE", "Host": "127.0.0.1", "Port": running.port, "UseDicomTls": True}
    device = any_orthanc(further={"DicomAet": "CT1", "DicomModalities": {"gateway": gateway}, **encrypting(authority)})
    sent = {}
    for file in make_corpus(tmp_path / "corpus", 3, ("CT_small.dcm",)):
        stored = device.post("/instances", file.read_bytes())
        device.post("/modalities/gateway/store", stored["ID"].encode())
        sent[uid_of(file)] = dcmread(file).PixelData
    running.wait_for(owed=0, deliveredTotal=3, deadLettered=0)
    kept = {uid: dcmread(io.BytesIO(content)).PixelData for uid, content in archive.files().items()}
    assert kept == sent  # it writes what it sends anew: the data sets are equal, and their bytes are not
    assert running.get("/api/v1/refused")["callers"] == []
