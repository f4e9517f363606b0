"""What all resources are built from: the base model, schema annotations, metadata, references and conditions."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

GROUP = "dicomroute.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
CATEGORY = "dicom"

_ACRONYMS = {
    "ae": "AE",
    "pdu": "PDU",
    "ip": "IP",
    "id": "ID",
    "url": "URL",
    "uids": "UIDs",
    "arn": "ARN",
    "ca": "CA",
    "dns": "DNS",
}


def field_name(name: str) -> str:
    """Return the JSON name of a field: camelCase, acronyms in capitals unless they begin the name."""
    head, *tail = name.split("_")
    return head + "".join(_ACRONYMS.get(word, word.capitalize()) for word in tail)


class Model(BaseModel):
    """A part of a resource. Read leniently: the API server has pruned and validated what arrives here."""

    model_config = ConfigDict(frozen=True, alias_generator=field_name, populate_by_name=True, extra="ignore")


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Return a schema annotation with CEL rules and the sentences that a person reads when one does not hold."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in pairs]}


def keyed_by(*keys: str) -> dict[str, Any]:
    """Return the schema annotation of a list whose items are told apart by the fields `keys`."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


SET = {"x-kubernetes-list-type": "set"}
ATOMIC = {"x-kubernetes-list-type": "atomic"}

AETitle = Annotated[
    str,
    Field(
        min_length=1,
        max_length=16,
        json_schema_extra=rules(
            (
                r"self.matches(r'^[ !-\[\]-~]*$')",
                "an AE title has characters of ISO 646 without backslash and control characters (PS3.5 6.2): "
                "remove the others",
            ),
            (
                r"self.matches(r'^[^ ](.*[^ ])?$')",
                "leading and trailing spaces are not significant in an AE title (PS3.5 6.2): leave them out",
            ),
        ),
    ),
]

ObjectName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        json_schema_extra=rules(
            (
                r"self.matches(r'^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
                "an object's name has lower case letters, digits, '-' and '.', and begins and ends with a letter or "
                "digit",
            )
        ),
    ),
]

Text = Annotated[str, Field(max_length=253)]


class Accepts(StrEnum):
    """What a target or a node may be sent."""

    ANY = "Any"
    DEIDENTIFIED_ONLY = "DeidentifiedOnly"


class NodeReference(Model):
    """A DicomNode of the same namespace."""

    name: ObjectName = Field(description="Name of the DicomNode.")


Key = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        json_schema_extra=rules(
            (
                r"self.matches(r'^[-._a-zA-Z0-9]+$') && self != '.' && !self.startsWith('..')",
                "a Secret's key may have only letters, digits, '-', '_' and '.', and does not begin with '..'",
            )
        ),
    ),
]


class SecretKeyReference(Model):
    """A key of a Secret of the same namespace."""

    name: ObjectName = Field(description="Name of the Secret. Another name rolls the gateway's pods.")
    key: Key = Field(
        description="Key in the Secret. The value is read each time it is used, so a changed value needs no restart."
    )


class OwnerMeta(Model):
    """The metadata of an object that this project reads."""

    name: str = ""
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


ConditionStatus = Annotated[str, Field(max_length=7, json_schema_extra={"enum": ["True", "False", "Unknown"]})]


class Condition(Model):
    """A condition by the conventions of the Kubernetes API."""

    type: Annotated[str, Field(max_length=316)] = Field(description="Type of the condition.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    observed_generation: int | None = Field(
        default=None, ge=0, description="The metadata.generation that this condition describes."
    )
    last_transition_time: Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})] = Field(
        description="When the status last changed."
    )
    reason: Annotated[str, Field(max_length=1024, min_length=1)] = Field(
        description="Why, in one word: see docs/conditions.md."
    )
    message: Annotated[str, Field(max_length=32768)] = Field(description="Why, and what to do, in a sentence.")


Conditions = Annotated[list[Condition], Field(max_length=16, json_schema_extra=keyed_by("type"))]
