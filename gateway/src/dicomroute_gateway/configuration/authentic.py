"""Who wrote a configuration: the operator shows it by a MAC, as others may write ConfigMaps of its namespace too.

The key is in the Secret with the credential of the admin API. Where it is not mounted, on one machine, files are
believed as they are.
"""

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAC_SUFFIX: Final = ".mac"


def configuration_mac(key: str, name: str, text: str) -> str:
    """Return the HMAC-SHA-256 of the name and the text of a configuration's file, in hexadecimal."""
    return hmac.new(key.encode(), f"{name}\0{text}".encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class ConfigurationSeal:
    """What configurations are recognized by: the file of the key, which may change at any time."""

    key_file: Path

    def key(self) -> str | None:
        """Return the key; None where configurations carry no MAC. Raises OSError."""
        try:
            return self.key_file.read_text().strip()
        except FileNotFoundError:
            return None

    def fault(self, file: Path, text: str) -> str:
        """Return why `text`, which was read of a file, is not to be believed; "" when it is. Raises OSError."""
        key = self.key()
        if key is None:
            return ""
        try:
            mac = file.with_name(file.name + MAC_SUFFIX).read_text().strip()
        except FileNotFoundError:
            return "it has no MAC"
        return (
            ""
            if hmac.compare_digest(mac.encode(), configuration_mac(key, file.name, text).encode())
            else "its MAC is wrong"
        )

    def sign(self, file: Path, text: str) -> None:
        """Write the MAC of a file's text beside it, if configurations carry one. Raises OSError."""
        key = self.key()
        if key is not None:
            file.with_name(file.name + MAC_SUFFIX).write_text(configuration_mac(key, file.name, text))
