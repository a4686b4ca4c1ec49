"""Matching inside the room: tokens in, pairs of row handles out; changes, commitments, decoys."""

from __future__ import annotations

from cleanroom.matching._errors import MatchingError
from cleanroom.matching.changes import (
    ChangeCounts,
    Op,
    Settled,
    apply_changes,
    figures_due,
    removals,
    settle_changes,
)
from cleanroom.matching.commit import (
    Flank,
    FlankCommitment,
    MatchCommitment,
    Opening,
    SaltKey,
    commit_matches,
    open_rows,
    places_of,
)
from cleanroom.matching.decoys import (
    DecoyVerdict,
    WithoutDecoys,
    check_openings,
    decoy_inputs,
    decoys_needed,
    remove_decoys,
)
from cleanroom.matching.delta import update
from cleanroom.matching.match import match
from cleanroom.matching.spec import MatchResult, MatchSpec, MatchStats, Rule

__all__ = [
    "ChangeCounts",
    "DecoyVerdict",
    "Flank",
    "FlankCommitment",
    "MatchCommitment",
    "MatchResult",
    "MatchSpec",
    "MatchStats",
    "MatchingError",
    "Op",
    "Opening",
    "Rule",
    "SaltKey",
    "Settled",
    "WithoutDecoys",
    "apply_changes",
    "check_openings",
    "commit_matches",
    "decoy_inputs",
    "decoys_needed",
    "figures_due",
    "match",
    "open_rows",
    "places_of",
    "removals",
    "remove_decoys",
    "settle_changes",
    "update",
]
