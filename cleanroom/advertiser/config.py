"""The advertiser's TOML file: a member's, and nothing more; lists and columns are named on the command line."""

from __future__ import annotations

from cleanroom.member.config import MemberConfig


class AdvertiserConfig(MemberConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """See MemberConfig."""
