"""What every section of the configuration is built from."""

from pydantic import BaseModel, ConfigDict

_ACRONYMS = {"ae": "AE", "pdu": "PDU", "id": "ID", "ids": "IDs", "url": "URL", "uids": "UIDs", "arn": "ARN", "ca": "CA"}


def _alias(name: str) -> str:
    """Return the JSON name of a field: camelCase with acronyms in capitals, as in the manifests."""
    head, *tail = name.split("_")
    return head + "".join(_ACRONYMS.get(word, word.capitalize()) for word in tail)


class Section(BaseModel):
    """A part of the configuration: immutable, and closed to unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=_alias, populate_by_name=True)

    @property
    def files(self) -> list[str]:
        """The files, within the folder of mounted Secrets, that this section names in its fields `..._file`."""
        named = (getattr(self, name) for name in type(self).model_fields if name.endswith("_file"))
        return [file for file in named if file]
