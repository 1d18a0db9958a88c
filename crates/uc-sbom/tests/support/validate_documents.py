"""Judges SBOMs with the tools of their projects: SPDX with its validator, CycloneDX with its copy of the schema."""

import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

for name in sys.argv[1:]:
    if name.endswith(".spdx.json"):
        faults = validate_full_spdx_document(parse_file(name))
        assert not faults, [fault.validation_message for fault in faults]
    else:
        with open(name) as document:
            fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(document.read())
        assert fault is None, fault
print("valid")
