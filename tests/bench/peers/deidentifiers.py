"""De-identifies one file so many times and prints what that took of a processor, in milliseconds an instance.

    python deidentifiers.py NAME FILE COUNT

Each library as its own documentation shows it, from bytes to bytes in memory; deid reads a file, as it takes no other.
"""

import io
import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

WARM_UP = 5
Work = Callable[[], bytes]


def dicognito(file: Path) -> Work:
    import pydicom
    from dicognito.anonymizer import Anonymizer

    anonymizer, content = Anonymizer(seed="bench"), file.read_bytes()

    def work() -> bytes:
        found = pydicom.dcmread(io.BytesIO(content))
        anonymizer.anonymize(found)
        return _written(found)

    return work


def dicom_anonymizer(file: Path) -> Work:
    import pydicom
    from dicomanonymizer import anonymize_dataset

    content = file.read_bytes()

    def work() -> bytes:
        found = pydicom.dcmread(io.BytesIO(content))
        anonymize_dataset(found)
        return _written(found)

    return work


def deid(file: Path) -> Work:
    from deid.config import DeidRecipe
    from deid.dicom import replace_identifiers

    recipe = DeidRecipe()
    return lambda: _written(replace_identifiers([str(file)], deid=recipe, save=False)[0])


def dicomroute(file: Path) -> Work:
    from dicomroute_gateway.configuration.profile import Profile
    from dicomroute_gateway.prepare.decoders import Decoders
    from dicomroute_gateway.prepare.deidentify.instance import deidentify
    from dicomroute_gateway.prepare.deidentify.plan import resolve
    from dicomroute_gateway.spool.part10 import file_head, file_meta

    content = file.read_bytes()
    meta = file_meta(content[:4096])
    assert meta is not None
    plan = resolve(Profile(namespace="bench", name="bench", edition="2026c"), bytes(range(32)))
    data_set, decoders = content[meta.length_before :], Decoders()

    def work() -> bytes:
        made = deidentify(
            lambda: io.BufferedReader(io.BytesIO(data_set)), len(data_set), meta.transfer_syntax_uid, plan, decoders
        )
        return file_head(made.sop_class_uid, made.sop_instance_uid, made.transfer_syntax_uid) + b"".join(made.pieces)

    return work


def _written(data_set: object) -> bytes:
    file = io.BytesIO()
    data_set.save_as(file)  # type: ignore[attr-defined]
    return file.getvalue()


SYSTEMS = {"dicomroute": dicomroute, "dicognito": dicognito, "dicom-anonymizer": dicom_anonymizer, "deid": deid}
PACKAGES = {"dicomroute": "dicomroute-gateway"}


def main() -> None:
    name, file, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    warnings.simplefilter("ignore")
    work = SYSTEMS[name](file)
    results = [work() for _ in range(WARM_UP)]
    came, made = file.read_bytes(), results[-1]
    assert len(made) > len(came) // 2, "it has made nothing"
    assert b"CompressedSamples^CT1" not in made, "the name is left"
    began = time.process_time()
    for _ in range(count):
        work()
    spent = time.process_time() - began
    print(json.dumps({"version": version(PACKAGES.get(name, name)), "ms": spent / count * 1000, "bytes": len(made)}))


if __name__ == "__main__":
    main()
