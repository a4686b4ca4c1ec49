"""The C3R file format (Cryptographic Computing for Clean Rooms): fingerprint, sealed and cleartext columns.

For parties that share a secret already, and for those who come from the tools that speak it. The fastest match and the
weakest: whoever holds the secret can try ids against a fingerprint column. docs/C3R.md says what is written.
"""

from cleanroom.c3r._errors import (
    C3rCellInvalid,
    C3rDuplicates,
    C3rError,
    C3rFingerprintFound,
    C3rKeyInvalid,
    C3rOutputExists,
    C3rOutputInvalid,
    C3rSchemaInvalid,
    C3rSourceInvalid,
    C3rValueInvalid,
)
from cleanroom.c3r.cells import C3rKeys, FingerprintForm, fingerprint, keys_of, open_value, seal_value
from cleanroom.c3r.decrypt import decrypt
from cleanroom.c3r.encrypt import Encrypted, encrypt
from cleanroom.c3r.match import match_table
from cleanroom.c3r.schema import (
    Column,
    ColumnType,
    PadType,
    Schema,
    Settings,
    default_schema,
    parse_schema,
    read_schema,
    write_schema,
)
from cleanroom.c3r.tables import Source

__all__ = [
    "C3rCellInvalid",
    "C3rDuplicates",
    "C3rError",
    "C3rFingerprintFound",
    "C3rKeyInvalid",
    "C3rKeys",
    "C3rOutputExists",
    "C3rOutputInvalid",
    "C3rSchemaInvalid",
    "C3rSourceInvalid",
    "C3rValueInvalid",
    "Column",
    "ColumnType",
    "Encrypted",
    "FingerprintForm",
    "PadType",
    "Schema",
    "Settings",
    "Source",
    "decrypt",
    "default_schema",
    "encrypt",
    "fingerprint",
    "keys_of",
    "match_table",
    "open_value",
    "parse_schema",
    "read_schema",
    "seal_value",
    "write_schema",
]
