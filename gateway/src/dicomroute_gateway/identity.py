"""By which names this implementation is known to its peers (PS3.7 D.3.3.2). They never change with a version."""

from typing import Final

IMPLEMENTATION_CLASS_UID: Final = "2.25.274389270962393168418366286542158386193"
IMPLEMENTATION_VERSION_NAME: Final = "DICOMROUTE"
