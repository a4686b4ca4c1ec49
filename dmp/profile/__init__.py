"""Profiles a bidder reads in microseconds: keys, layout, reader, writer, builder (docs/DMP.md has the bytes)."""

from dmp.profile._errors import BuildInvalid, KeyInvalid, StoreBusy, StoreCorrupt, StoreFull, StoreMissing
from dmp.profile.builder import PROFILE_SCHEMA, BuildReport
from dmp.profile.key import KEY_BYTES, SECRET_BYTES, SECRET_KIND, SECRET_NAME, Keyer, alias_keys, aliases, profile_key
from dmp.profile.layout import Profile, encode
from dmp.profile.ops import Describe, Forget, Join, Leave, Op, OptOut
from dmp.profile.reader import ProfileReader
from dmp.profile.secret import receive_secret
from dmp.profile.writer import GONE_MS, NEVER_MS, ProfileWriter

__all__ = [
    "GONE_MS",
    "KEY_BYTES",
    "NEVER_MS",
    "PROFILE_SCHEMA",
    "SECRET_BYTES",
    "SECRET_KIND",
    "SECRET_NAME",
    "BuildInvalid",
    "BuildReport",
    "Describe",
    "Forget",
    "Join",
    "KeyInvalid",
    "Keyer",
    "Leave",
    "Op",
    "OptOut",
    "Profile",
    "ProfileReader",
    "ProfileWriter",
    "StoreBusy",
    "StoreCorrupt",
    "StoreFull",
    "StoreMissing",
    "alias_keys",
    "aliases",
    "encode",
    "profile_key",
    "receive_secret",
]
