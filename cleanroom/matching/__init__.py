"""Matching inside the room: tokens in, pairs of row handles out; changes, commitments, decoys."""

from __future__ import annotations

from cleanroom.matching.match import match
from cleanroom.matching.spec import MatchResult, MatchSpec, MatchStats, Rule

__all__ = ["MatchResult", "MatchSpec", "MatchStats", "Rule", "match"]
