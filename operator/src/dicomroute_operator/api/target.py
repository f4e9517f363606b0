"""CloudTarget: a DICOMweb origin server."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from .meta import Conditions, Model, OwnerMeta, SecretKeyReference, rules

_PORT = "(:([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"


class AuthType(StrEnum):
    """How requests are authenticated."""

    NONE = "None"
    BASIC = "Basic"


class Accepts(StrEnum):
    """What a target may be sent."""

    ANY = "Any"
    DEIDENTIFIED_ONLY = "DeidentifiedOnly"


class BasicAuth(Model):
    """HTTP Basic authentication (RFC 7617)."""

    username: Annotated[
        str,
        Field(
            min_length=1,
            max_length=255,
            json_schema_extra=rules(
                ("!self.contains(':')", "a user name in Basic authentication has no colon (RFC 7617): remove it")
            ),
        ),
    ] = Field(description="The user name.")
    password_secret_ref: SecretKeyReference = Field(description="Where the password is.")


class Auth(Model):
    """The credential of a target: a type, and the member that belongs to it."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "self.type == 'Basic' ? has(self.basic) : !has(self.basic)",
                "give exactly the member of the type: basic with type Basic, nothing with type None",
            )
        )
    )

    type: AuthType = Field(description="How requests are authenticated: None, or Basic with the member basic.")
    basic: BasicAuth | None = Field(default=None, description="User name and password, for type Basic.")


class CloudTargetSpec(Model):
    """Where a DICOMweb server is and how to speak to it."""

    url: Annotated[
        str,
        Field(
            max_length=2048,
            json_schema_extra=rules(
                (
                    rf"self.matches(r'^https?://([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\]){_PORT}(/[!\"$->@-~]*)?$')",
                    "write the base URL of the DICOMweb service as http(s)://HOST[:PORT][/PATH], without user, query "
                    "and fragment",
                ),
                (
                    "!self.matches(r'/studies/?$')",
                    "leave /studies out: the gateway adds it to the base URL of the DICOMweb service",
                ),
            ),
        ),
    ] = Field(
        description="Base URL of the DICOMweb service (PS3.18), such as https://archive.example/dicom-web. The gateway "
        "stores to URL/studies. Changed without a restart."
    )
    auth: Auth = Field(description="How requests are authenticated. Another Secret rolls the gateway's pods.")
    accepts: Accepts = Field(
        default=Accepts.ANY,
        description="What the target may be sent. DeidentifiedOnly: until something is de-identified, its deliveries "
        "are Held with the reason NotDeidentified. Changed without a restart.",
    )


class CloudTargetStatus(Model):
    """What the operator says of a target."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="The metadata.generation that this status speaks of."
    )
    conditions: Conditions = Field(default=[], description="How the target stands: see docs/conditions.md.")


class CloudTarget(Model):
    """A DICOMweb origin server: a cloud archive or any other archive that speaks STOW-RS."""

    kind: ClassVar[str] = "CloudTarget"

    metadata: OwnerMeta
    spec: CloudTargetSpec = Field(description="Where the server is and how to speak to it.")
    status: CloudTargetStatus | None = Field(default=None, description="What the operator found.")

    def secret_references(self) -> list[SecretKeyReference]:
        """Return the keys of Secrets that requests to the target need."""
        basic = self.spec.auth.basic
        return [basic.password_secret_ref] if basic is not None else []
