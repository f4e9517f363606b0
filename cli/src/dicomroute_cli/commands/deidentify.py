"""`dicomroute deidentify`: de-identifies a folder of DICOM files by a profile, without a cluster or a gateway."""

import csv
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Final

import typer

from dicomroute_cli.manifests.world import Key, ManifestWorld, load_world
from dicomroute_cli.output import Failure, print_error
from dicomroute_gateway.configuration.recipe import Deidentify
from dicomroute_gateway.explain.instance import NotAnInstance, open_instance
from dicomroute_gateway.prepare.decoders import Decoders
from dicomroute_gateway.prepare.deidentify.instance import Deidentified
from dicomroute_gateway.prepare.deidentify.instance import deidentify as deidentified
from dicomroute_gateway.prepare.deidentify.plan import Plan
from dicomroute_gateway.prepare.deidentify.pseudonyms import Noted
from dicomroute_gateway.prepare.deidentify.withheld import Withheld
from dicomroute_gateway.prepare.plans import keyed_by
from dicomroute_gateway.reasons import Reason
from dicomroute_gateway.spool.content import Unreadable
from dicomroute_gateway.spool.part10 import file_head
from dicomroute_operator.api.files import FileReference
from dicomroute_operator.render.names import mounted_file
from dicomroute_operator.render.steps import deidentify_step

from .options import Manifests

_WITHHELD: Final = "withheld.json"


@dataclass
class _Done:
    """What became of the files."""

    written: int = 0
    withheld: list[dict[str, str]] = field(default_factory=list)
    failed: int = 0


def deidentify(
    filename: Manifests,
    source: Annotated[Path, typer.Argument(metavar="IN", help="A DICOM file, or a folder of them.")],
    to: Annotated[Path, typer.Argument(metavar="OUT", help="Output folder. It must be new or empty.")],
    profile: Annotated[str, typer.Option(help="DeidentificationProfile in the manifests.", metavar="NAME")],
    namespace: Annotated[str, typer.Option("-n", "--namespace", help="Namespace of the profile.")] = "default",
    mapping: Annotated[
        Path | None,
        typer.Option(
            help="Folder for uid_mapping.csv and patid_mapping.csv, which identify the patients. Must be outside OUT.",
            metavar="FOLDER",
        ),
    ] = None,
) -> None:
    """De-identify DICOM files with a profile. The key of the profile is in a Secret of the manifests.

    Files that may contain names in pixels or documents, and files that cannot be read, are withheld: withheld.json
    beside OUT lists each file with its reason. The exit code is 1 if a file could not be read or written.
    """
    noted = Noted() if mapping is not None else None
    plan = _plan(load_world(filename), (namespace, profile), noted)
    _check_folders(source, to, mapping)
    done = _Done()
    decoders = Decoders()
    try:
        to.mkdir(parents=True, exist_ok=True, mode=0o700)
        for file in _files(source):
            _one(file, source, to, plan, decoders, done)
        _write_json(to.resolve().parent / _WITHHELD, done.withheld)
        if mapping is not None and noted is not None:
            _write_mapping(mapping, noted)
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}", 2) from error
    finally:
        decoders.end_idle()
    print(f"{done.written} de-identified, {len(done.withheld)} withheld")
    if done.withheld:
        print(f"see {to.resolve().parent / _WITHHELD}")
    if done.failed:
        raise Failure(f"{done.failed} could not be read or written", 1)


def _plan(world: ManifestWorld, key: Key, noted: Noted | None) -> Plan:
    """Return the plan of a profile in the manifests. Raises Failure."""
    errors = [one for one in world.findings if one.is_error]
    for one in errors:
        print_error(str(one))
    if errors:
        raise Failure(f"{len(errors)} findings in the manifests", 2)
    found = world.profiles.get(key)
    if found is None:
        names = ", ".join(sorted(name for namespace, name in world.profiles if namespace == key[0])) or "none"
        raise Failure(f"there is no DeidentificationProfile {key[1]} in namespace {key[0]}: there is {names}", 2)
    files = {mounted_file(one.kind, one.name, one.key): _content(world, key[0], one) for one in found.spec.files}
    try:
        return keyed_by(Deidentify.model_validate(deidentify_step(found)), files).plan(noted)
    except Unreadable as error:
        raise Failure(str(error), 2) from error


def _content(world: ManifestWorld, namespace: str, file: FileReference) -> bytes:
    """Return the value of a key of a Secret or ConfigMap. Raises Failure."""
    objects = world.secrets if file.kind == "Secret" else world.config_maps
    content = objects.get((namespace, file.name), {}).get(file.key)
    if content is None:
        raise Failure(
            f"key {file.key} of {file.kind} {file.name} is not in the manifests: add the {file.kind} that {file.field} "
            "references",
            2,
        )
    return content


def _check_folders(source: Path, to: Path, mapping: Path | None) -> None:
    """Raise Failure for folders that are within each other, or in use."""
    if not source.exists():
        raise Failure(f"{source} does not exist", 2)
    inner, outer = to.resolve(), source.resolve()
    if inner == outer or inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise Failure(f"{to} and {source} are inside each other: choose another output folder", 2)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise Failure(f"{to} is not an empty folder: choose another output folder", 2)
    if mapping is not None and mapping.resolve().is_relative_to(inner):
        raise Failure(
            f"{mapping} is inside {to}: anyone who gets {to} could identify the patients. Choose another folder", 2
        )


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
        return
    for folder, folders, names in os.walk(source):
        folders.sort()
        for name in sorted(names):
            yield Path(folder) / name


def _one(file: Path, source: Path, to: Path, plan: Plan, decoders: Decoders, done: _Done) -> None:
    """De-identify one file."""
    name = file.name if file == source else str(file.relative_to(source))
    try:
        opened = open_instance(file)
    except NotAnInstance as failure:
        done.withheld.append({"file": name, "reason": Reason.CANNOT_BE_READ, "message": str(failure)})
        done.failed += 1
        return
    try:
        with ExitStack() as files:
            files.callback(os.close, opened.descriptor)

            def data_set() -> BufferedReader:
                again = files.enter_context(file.open("rb"))
                again.seek(opened.offset)
                return again

            length = os.fstat(opened.descriptor).st_size - opened.offset
            _write(to, deidentified(data_set, length, opened.transfer_syntax_uid, plan, decoders))
    except Withheld as error:
        done.withheld.append({"file": name, "reason": error.reason, "message": str(error)})
        done.failed += error.reason is Reason.CANNOT_BE_READ
    except FileExistsError:
        message = "another file has the same SOP Instance UID (0008,0018): remove one of them"
        done.withheld.append({"file": name, "reason": "SameInstance", "message": message})
        done.failed += 1
    else:
        done.written += 1


def _write(to: Path, made: Deidentified) -> None:
    """Write an instance under its new UIDs; whole, or not at all. Raises Withheld, FileExistsError, OSError."""
    folder = to / (made.study_instance_uid or "no-study") / (made.series_instance_uid or "no-series")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    part, whole = folder / f"{made.sop_instance_uid}.part", folder / f"{made.sop_instance_uid}.dcm"
    if whole.exists():
        raise FileExistsError
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as written:
            written.write(file_head(made.sop_class_uid, made.sop_instance_uid, made.transfer_syntax_uid))
            for piece in made.pieces:
                written.write(piece)
    except BaseException:
        part.unlink(missing_ok=True)
        for empty in (folder, folder.parent):
            if not any(empty.iterdir()):
                empty.rmdir()
        raise
    part.rename(whole)


def _write_json(file: Path, content: object) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as written:
        json.dump(content, written, indent=2, ensure_ascii=False)
        written.write("\n")


def _write_mapping(folder: Path, noted: Noted) -> None:
    """Write the two tables, readable by their owner alone."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    patients = {old.decode("latin-1"): new for old, new in noted.patient_ids.items()}
    for name, rows in (("uid_mapping.csv", noted.uids), ("patid_mapping.csv", patients)):
        _write_csv(folder / name, sorted(rows.items()))


def _write_csv(file: Path, rows: Iterable[tuple[str, str]]) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(file, flags, 0o600), "w", newline="") as written:
        table = csv.writer(written)
        table.writerow(("id_old", "id_new"))
        table.writerows(rows)
