"""C3R's known answers, and cells written by the reference program (aws/c3r, samples/csv/marshalled_data_sample.csv)."""

import base64
import json
from pathlib import Path

import pytest

from cleanroom.c3r import C3rCellInvalid, C3rKeys, FingerprintForm, fingerprint, keys_of, open_value, seal_value

VECTORS = Path(__file__).parents[2] / "../shared/vectors/c3r/c3r_kat.json"
KEYS = keys_of(bytes(range(32)), "00000000-1111-2222-3333-444444444444")
# the row of "Jake Richards", and parts of two others
SEALED = {
    "null": "lajkjv4T7STqNpvnmv0l/crJFszOCQpbSVAZUF1tX86Jg5EGExqm7x/EZ6jtu+5S5YiHplKpYfFL0MLpGdGq",
    "notes": "DR3GC+AUMlX/kGwQwbJ96EGgCg9P5xXEg9R3uJzQRtWubuFO/+Lh2QdJxgVQFxHDAvK+HvGr7rgcA6wbn80atZhNGg==",
    "city": "DR3GC+AUMlX/kGwQwbJ96EGgCg9P5xXEg9R3uJzQRtWvqOF03mK3N47yP4sy1AE2VRXc2IYXM2ao4Ihhos27F04vekJM5E"
    "OZXfwUDzUfg7dMsZS6Jit5TVw=",
    "phone": "lajkjv4T7STqNpvnmv0l/crJFszOCQpbSVAZUF1tX87gKVvxEnENy+msQVlsjkKKLRC7IO8InAhDeIKVEx6c5QhhMUyDNT6GT1yP",
}  # fmt: skip


def test_known_answers_of_fingerprints():
    if not VECTORS.exists():
        pytest.skip(f"the C3R vectors are not at {VECTORS}")
    known = json.loads(VECTORS.read_text())
    keys = C3rKeys.derive(known["secret_utf8"].encode(), known["salt_utf8"].encode())
    assert len(known["vectors"]) == 3
    for vector in known["vectors"]:
        joins = vector["allowJoinsOnColumnsWithDifferentNames"]
        key = keys.fingerprint_key(vector["column_label"] or "", any_column=joins)
        assert fingerprint(key, vector["cleartext_utf8"]) == vector["expected"]


@pytest.mark.parametrize(
    ("name", "value"), [("null", None), ("notes", "null"), ("city", "Richmond"), ("phone", "703-555-1234")]
)
def test_sealed_cells_of_the_reference_program_open(name, value):
    assert open_value(KEYS, f"02:enc:{SEALED[name]}") == value


@pytest.mark.parametrize(
    ("name", "column", "value", "padded"),
    [
        ("null", "notes", None, None),
        ("notes", "notes", "null", None),
        ("city", "city", "Richmond", len("Charleston") + 16),  # pad "max" of 16
        ("phone", "phonenumber_sealed", "703-555-1234", None),
    ],
)
def test_sealing_under_its_nonce_gives_the_reference_programs_cell(name, column, value, padded):
    cell = f"02:enc:{SEALED[name]}"
    nonce = base64.b64decode(SEALED[name])[:32]
    assert seal_value(KEYS.row_key(nonce), nonce, column, value, padded) == cell


@pytest.mark.parametrize(
    ("column", "value", "cell"),
    [
        ("state", "VA", "02:hmac:dVShrpJ70MTSG9VCtCW8WcMdoKbeel144Aln4vRwWk4="),
        ("state", "MD", "02:hmac:+dN/pFTpIHUfH0S+jtmzb55SwEg+rzoHTRuoj5qHsuA="),
        ("phonenumber_fingerprint", "404-555-111", "02:hmac:urbu+vA/UCQzW3XW25tRvG4XJWeest0ultEkul266Gk="),
    ],
)
def test_fingerprints_of_the_sample_are_of_the_typed_form(column, value, cell):
    key = KEYS.fingerprint_key(column, any_column=False)
    assert fingerprint(key, value, FingerprintForm.TYPED) == cell
    assert fingerprint(key, value) != cell


def test_a_cell_of_the_sample_does_not_open_under_another_collaboration():
    other = keys_of(bytes(range(32)), "00000000-1111-2222-3333-444444444445")
    with pytest.raises(C3rCellInvalid):
        open_value(other, f"02:enc:{SEALED['city']}")
