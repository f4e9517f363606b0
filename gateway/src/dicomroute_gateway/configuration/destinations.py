"""What instances are delivered to: CloudTargets and DicomNodes, and what is particular to each in this route."""

from enum import StrEnum
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from dicomroute_gateway.destination import Destination, DestinationKind, destination_named

from .credentials import Auth, Proxy, Tls
from .listener import TlsProfile
from .section import Section

TIME_OF_DAY = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


class DestinationKey(Section):
    """A destination as a rule names it."""

    kind: DestinationKind
    name: str

    @property
    def destination(self) -> Destination:
        """The destination that is named."""
        return destination_named(self.kind, self.name)


class DeliveryMode(StrEnum):
    """Whether the deliveries to one destination, or of one rule, are made."""

    RUNNING = "Running"
    HOLD_DELIVERIES = "HoldDeliveries"


class Accepts(StrEnum):
    """What a destination may be sent."""

    ANY = "Any"
    DEIDENTIFIED_ONLY = "DeidentifiedOnly"


class Provider(StrEnum):
    """Whose server a target is: how its answers are read, and how much it takes."""

    AZURE = "Azure"
    GOOGLE = "Google"
    AWS = "AWS"
    ORTHANC = "Orthanc"
    DCM4CHEE = "Dcm4chee"
    GENERIC = "Generic"


class OnDuplicate(StrEnum):
    """What is made of an instance of whose UID the target has one already that this gateway did not send."""

    ACCEPT_IDENTICAL = "AcceptIdentical"
    OVERWRITE = "Overwrite"
    ACCEPT = "Accept"
    FAIL = "Fail"


class AnswerCodes(Section):
    """Failure Reasons (0008,1197) that a server gives a meaning of its own."""

    permanent_reasons: list[int] = Field(default=[])
    transient_reasons: list[int] = Field(default=[])
    duplicate_reasons: list[int] = Field(default=[])


class Weekday(StrEnum):
    """A day of the week."""

    MONDAY = "Monday"
    TUESDAY = "Tuesday"
    WEDNESDAY = "Wednesday"
    THURSDAY = "Thursday"
    FRIDAY = "Friday"
    SATURDAY = "Saturday"
    SUNDAY = "Sunday"


class Window(Section):
    """A time of the week with a bound of its own: from `start` to `end` (HH:MM), on days that begin so.

    One that ends before it starts ends on the next day. 0 bytes a second: nothing is sent.
    """

    days: list[Weekday] = Field(default=list(Weekday), min_length=1)
    start: str = Field(pattern=TIME_OF_DAY)
    end: str = Field(pattern=TIME_OF_DAY)
    max_bytes_per_second: int = Field(ge=0)


class Bandwidth(Section):
    """How much a destination is sent at most: the first window that it is counts, outside of all the bound itself."""

    max_bytes_per_second: int | None = Field(default=None, ge=1)
    time_zone: str = "UTC"
    windows: list[Window] = Field(default=[])

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (OSError, ValueError, KeyError) as error:  # ZoneInfoNotFoundError is a KeyError
            raise ValueError(f"there is no time zone {name!r}: write one such as Europe/Berlin") from error
        return name


class ConfirmBy(StrEnum):
    """How a destination confirms that it has what it was sent."""

    QUERY = "Query"
    STORAGE_COMMITMENT = "StorageCommitment"


class Confirm(Section):
    """A destination has an instance once it has confirmed that, within `within_seconds` of its being sent."""

    by: ConfirmBy
    within_seconds: int = Field(default=86_400, ge=1)


class DestinationSettings(Section):
    """What is particular to a destination of this route, whatever its kind.

    An optional one (not `required`) is owed `max_owed_bytes` at most; what comes beyond is skipped.
    """

    mode: DeliveryMode = DeliveryMode.RUNNING
    required: bool = True
    max_owed_bytes: int | None = Field(default=None, ge=1)
    bandwidth: Bandwidth | None = None
    confirm: Confirm | None = None
    """None: its answer confirms that it has an instance."""
    accepts: Accepts = Accepts.ANY


class CloudTargetDestination(DestinationSettings):
    """A DICOMweb origin server (PS3.18) to which instances are stored by STOW-RS."""

    kind: Literal["CloudTarget"]
    name: str
    url: str
    provider: Provider = Provider.GENERIC
    on_duplicate: OnDuplicate = OnDuplicate.ACCEPT_IDENTICAL
    answers: AnswerCodes = AnswerCodes()
    partition: str = ""
    """The data partition of an Azure DICOM service; "" where it has none."""
    auth: Auth
    tls: Tls = Tls()
    proxy: Proxy | None = None

    @property
    def key(self) -> Destination:
        """What rules and the spool know this destination by."""
        return destination_named(self.kind, self.name)

    @property
    def files(self) -> list[str]:
        """The files, within the folder of mounted Secrets, that requests need."""
        return [file for one in (self.auth, self.tls, self.proxy) if one is not None for file in one.files]


class NodeTls(Section):
    """How a node is called over TLS; files are SECRET/KEY and ConfigMap-NAME/KEY.

    Without `ca_bundle_file` the authorities of the system are trusted. `server_name` is what the certificate has to
    name, "" the host; without `verify_name` any name will do.
    """

    ca_bundle_file: str = ""
    client_certificate_file: str = ""
    client_key_file: str = ""
    verify_name: bool = True
    server_name: str = ""
    profile: TlsProfile = TlsProfile.BCP195_RFC9325


class DicomNodeDestination(DestinationSettings):
    """A storage SCP (PS3.4 annex B) to which instances are sent by C-STORE. Time-outs in seconds.

    `acse_timeout_seconds` is for the answer to an A-ASSOCIATE-RQ, `stall_timeout_seconds` for each time that the node
    takes not one byte of a message, `response_timeout_seconds` for the response to a whole one. A C-ECHO tests it every
    `connection_test_seconds`; 0: never.
    """

    kind: Literal["DicomNode"]
    name: str
    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65535)
    called_ae_title: str = Field(min_length=1, max_length=16)
    calling_ae_title: str = Field(min_length=1, max_length=16)
    acse_timeout_seconds: int = Field(default=30, ge=1)
    stall_timeout_seconds: int = Field(default=60, ge=1)
    response_timeout_seconds: int = Field(default=120, ge=1)
    connection_test_seconds: int = Field(default=300, ge=0)
    tls: NodeTls | None = None

    @property
    def files(self) -> list[str]:
        """The files, within the folder of mounted Secrets, that calling it needs."""
        return self.tls.files if self.tls is not None else []

    @property
    def key(self) -> Destination:
        """What rules and the spool know this destination by."""
        return destination_named(self.kind, self.name)


AnyDestination = Annotated[CloudTargetDestination | DicomNodeDestination, Field(discriminator="kind")]
