"""What is sent of an instance, beside `Received`, which says what came."""

from dataclasses import dataclass

from dicomroute_gateway.configuration.recipe import Recipe
from dicomroute_gateway.spool.content import StoredFile


@dataclass(frozen=True, slots=True)
class Parcel:
    """An instance in one form: its identity and transfer syntax as they are sent, and its file (PS3.10 7).

    `length` is that of the data set, which stands at the end of the file. `recipe` is what made it of what came.
    """

    recipe: Recipe
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    length: int
    file: StoredFile
