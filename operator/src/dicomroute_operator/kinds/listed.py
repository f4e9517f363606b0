"""All kinds that people write, in the order in which they are listed."""

from typing import Final

from .kind import Kind
from .node import DICOM_NODE
from .profile import DEIDENTIFICATION_PROFILE
from .route import DICOM_ROUTE
from .target import CLOUD_TARGET

KINDS: Final[dict[str, Kind]] = {
    one.name: one for one in (DICOM_ROUTE, DICOM_NODE, CLOUD_TARGET, DEIDENTIFICATION_PROFILE)
}
