"""Where a CloudTarget has its studies and instances (PS3.18 10.1), and how much it takes in one request. Pure."""

import re
from collections.abc import Mapping
from typing import Final, Protocol

from dicomroute_gateway.configuration.destinations import Provider

_UID: Final = re.compile(r"[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*")
"""What may stand in a path as it is: PS3.5 9.1, and what archives take beside it."""

MOST_REQUEST_BYTES: Final[Mapping[Provider, int]] = {Provider.AZURE: 4 << 30, Provider.AWS: 1 << 30}
"""How long a request a provider documents to take. Those that are not here document no bound."""


class Partitioned(Protocol):
    """What has its studies in a data partition, or not."""

    @property
    def partition(self) -> str:
        """The data partition of an Azure DICOM service, "" where it has none."""


def studies(target: Partitioned) -> str:
    """Return the path of a target's studies, below its URL."""
    return f"/partitions/{target.partition}/studies" if target.partition else "/studies"


class Identified(Protocol):
    """What has the UIDs of an instance."""

    @property
    def study_instance_uid(self) -> str:
        """Study Instance UID (0020,000D)."""

    @property
    def series_instance_uid(self) -> str:
        """Series Instance UID (0020,000E)."""

    @property
    def sop_instance_uid(self) -> str:
        """SOP Instance UID (0008,0018)."""


def instance(target: Partitioned, one: Identified) -> str | None:
    """Return the path of an instance; None when its UIDs are not such as a path can carry."""
    return below(target, one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid)


def below(target: Partitioned, *uids: str) -> str | None:
    """Return the path of a study, of a series in it, or of an instance in that, by their UIDs; None as `instance`."""
    if not all(_UID.fullmatch(uid) for uid in uids):
        return None
    within = zip(("", "/series", "/instances"), uids, strict=False)
    return studies(target) + "".join(f"{kind}/{uid}" for kind, uid in within)
