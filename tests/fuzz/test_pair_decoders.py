"""What comes from outside is accepted or refused with PAIR's own errors, and nothing else happens."""

import base64
import contextlib
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from cleanroom.pair import PairEidInvalid, PairListInvalid, read_eids, read_list
from cleanroom.pair.eids import canonical

PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
JSON = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
UID = st.fixed_dictionaries(
    {}, optional={"id": st.text(max_size=50) | JSON, "atype": st.sampled_from([3, 571187]) | JSON}
)
SOURCES = st.sampled_from(["pair-protocol.com", "google.com", "iabtechlab.com/pair"])
EID = st.fixed_dictionaries({}, optional={"source": SOURCES | JSON, "uids": st.lists(UID, max_size=3) | JSON})
EIDS = st.lists(EID, max_size=3) | JSON
HEADER = b'{"profile":"ristretto255","owner":"publisher","layers":1,"key_id":"k","adv_pub_id":"","rows":%d}\n'


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.fixed_dictionaries({}, optional={"eids": EIDS, "ext": st.fixed_dictionaries({"eids": EIDS}) | JSON}))
def test_any_user_object_is_read_or_refused(user):
    with contextlib.suppress(PairEidInvalid):
        for value in read_eids(user):
            assert canonical(value) == value


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.binary(min_size=30, max_size=36), st.booleans(), st.integers(0, 2))
def test_every_form_of_an_id_reads_as_one(raw, url, cut):
    text = (base64.urlsafe_b64encode if url else base64.b64encode)(raw).decode()
    form = text.rstrip("=") if cut else text
    if len(raw) in (32, 33):
        assert canonical(form) == base64.b64encode(raw).decode()
    else:
        try:
            canonical(form)
        except PairEidInvalid:
            return
        raise AssertionError("an id of another length was read")


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.binary(max_size=200), st.integers(-1, 3), st.booleans())
def test_any_file_is_a_list_or_refused(rest, rows, headed):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "list")
        path.write_bytes((HEADER % rows if headed else b"") + rest)
        with contextlib.suppress(PairListInvalid):
            assert len(read_list(path).elements) == rows
