"""Watches what is mounted beside the configuration: Secrets, certificates, the keys of the spool."""

import ssl
from pathlib import Path

import structlog

from dicomroute_gateway.admin.status import listener_key
from dicomroute_gateway.configuration.destinations import CloudTargetDestination, NodeTls
from dicomroute_gateway.configuration.listener import ListenerTls
from dicomroute_gateway.configuration.model import Configuration, EncryptionMode
from dicomroute_gateway.configuration.recipe import Deidentify
from dicomroute_gateway.dicomweb.credentials.expiry import bundle_end, certificate_end, expires_time
from dicomroute_gateway.spool.keys import NO_KEYS, Keys, load_keys

log = structlog.get_logger(__name__)


class Watching:
    """The mounted Secrets of one route. Their contents are read at each use: a change is all that is noticed."""

    def __init__(self, secrets: Path) -> None:
        self._secrets = secrets
        self._seen: list[tuple[str, int, int]] = []
        self._keys = NO_KEYS

    def keys(self, configuration: Configuration) -> Keys:
        """Return the keys of the spool as they are mounted at this moment."""
        encryption, keys = configuration.spool.encryption, NO_KEYS
        if encryption is not None:
            encrypts = encryption.mode is EncryptionMode.ENABLED
            keys = load_keys(self._secrets, encryption.key_file, encrypts=encrypts)
        if keys != self._keys:
            self._keys = keys
            log.info("spool.keys", ids=list(keys.by_id), encrypts=keys.current and keys.current.id)
            if keys.problem is not None:
                log.error("spool.key_unusable", reason=keys.problem.reason, message=keys.problem.message)
        return keys

    def content(self, file: str) -> bytes | None:
        """Return what is in a mounted file, None where it is missing."""
        try:
            return (self._secrets / file).read_bytes()
        except OSError:
            return None

    def has_changed(self, configuration: Configuration) -> bool:
        """Return whether other Secrets, or other versions of them, are mounted than when this was asked last."""
        seen = []
        for name in secret_files(configuration):
            try:
                stat = (self._secrets / name).stat()
            except OSError:
                continue
            seen.append((name, stat.st_ino, stat.st_mtime_ns))
        changed, self._seen = seen != self._seen, seen
        if changed:
            log.info("secrets.changed")
        return changed

    def ends(self, configuration: Configuration) -> dict[str, float]:
        """Return when the credential of each destination (KIND/NAME) and each listener (Listener/NAME) ends.

        That of a node or a listener is the certificate that is shown, and the authorities that are trusted.
        """
        ends: dict[str, float | None] = {}
        for destination in configuration.destinations:
            if isinstance(destination, CloudTargetDestination):
                ends[destination.key] = expires_time(destination, self._secrets)
            else:
                ends[destination.key] = self._end(destination.tls)
        ends |= {listener_key(one.name): self._end(one.tls) for one in configuration.listeners}
        return {name: end for name, end in ends.items() if end is not None}

    def _end(self, tls: ListenerTls | NodeTls | None) -> float | None:
        """Return when the first of what TLS needs ends."""
        if tls is None:
            return None
        if isinstance(tls, ListenerTls):
            shown, trusted = tls.certificate_file, tls.client_ca_bundle_file
        else:
            shown, trusted = tls.client_certificate_file, tls.ca_bundle_file
        times = [
            certificate_end(self._secrets, shown) if shown else None,
            bundle_end(self._secrets, trusted) if trusted else None,
        ]
        return min((time for time in times if time is not None), default=None)

    def unmounted(self, configuration: Configuration) -> list[str]:
        """Return the files that are used and not there."""
        return [name for name in secret_files(configuration) if not (self._secrets / name).is_file()]


def secret_files(configuration: Configuration) -> list[str]:
    """Return the mounted files (SECRET/KEY, ConfigMap-NAME/KEY) that listeners, rules, destinations and spool use."""
    files = {file for destination in configuration.destinations for file in destination.files}
    if (query := configuration.query_retrieve) is not None:
        files.update(file for one in (*query.archives, *query.move_destinations) for file in one.files)
    files.update(file for one in configuration.listeners if one.tls is not None for file in one.tls.files)
    steps = (step for rule in configuration.rules.rules for step in rule.steps if isinstance(step, Deidentify))
    files.update(file for step in steps for file in step.files)
    if configuration.spool.encryption is not None:
        files.add(configuration.spool.encryption.key_file)
    return sorted(files)


class ServingCertificate:
    """The certificate that the API is served with; a changed one is shown from the next connection on."""

    def __init__(self, certificate: Path | None, key: Path | None) -> None:
        self._files = (certificate, key)
        self._version: tuple[int, int] | None = None
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3

    def follow(self) -> None:
        """Take over a certificate that has changed. Raises OSError when there was never one to serve with."""
        certificate, key = self._files
        if certificate is None or key is None:
            return
        try:
            version = (certificate.stat().st_mtime_ns, key.stat().st_mtime_ns)
            if version != self._version:
                self.context.load_cert_chain(certificate, key)
                self._version = version
        except (OSError, ssl.SSLError) as error:
            if self._version is None:
                raise
            log.warning("certificate.unusable", error=str(error))
