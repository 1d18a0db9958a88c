"""Validates TOML catalogues, one text per JSON line on standard input, against the schema named as the first argument."""

import datetime
import json
import sys
import tomllib

import jsonschema


def plain(value):
    """The JSON form: dates as text."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    return value


with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
for line in sys.stdin:
    errors = [error.message[:200] for error in validator.iter_errors(plain(tomllib.loads(json.loads(line))))]
    print(json.dumps(errors))
