"""The one door out of the room: guard, budget, noise, threshold, log entry, answer. See docs/RELEASE.md."""

from cleanroom.release.accountant import epsilon, micro_rho, sigma_milli
from cleanroom.release.answer import Answer, Cells, open_payload
from cleanroom.release.figures import (
    Figure,
    Figures,
    Kind,
    audience_size,
    bounded_sum,
    histogram,
    overlap,
    population_histogram,
    ranked_histogram,
)
from cleanroom.release.gate import Contracts, Gate, Released, Suppressed
from cleanroom.release.guard import OwnRows, Sketcher, repeated_ids, sketch
from cleanroom.release.log import ReleaseReceipt
from cleanroom.release.lookalike import lookalike_figures
from cleanroom.release.noise import NoiseSource, OpenDpNoise
from cleanroom.release.opening import ReleaseOpening, open_release, verify_opening
from cleanroom.release.pace import Pace, WallPace
from cleanroom.release.request import ReleaseRequest
from cleanroom.release.sqlite_store import SqliteBudgetStore
from cleanroom.release.store import Account, Balance, BudgetStore

__all__ = [
    "Account",
    "Answer",
    "Balance",
    "BudgetStore",
    "Cells",
    "Contracts",
    "Figure",
    "Figures",
    "Gate",
    "Kind",
    "NoiseSource",
    "OpenDpNoise",
    "OwnRows",
    "Pace",
    "ReleaseOpening",
    "ReleaseReceipt",
    "ReleaseRequest",
    "Released",
    "Sketcher",
    "SqliteBudgetStore",
    "Suppressed",
    "WallPace",
    "audience_size",
    "bounded_sum",
    "epsilon",
    "histogram",
    "lookalike_figures",
    "micro_rho",
    "open_payload",
    "open_release",
    "overlap",
    "population_histogram",
    "ranked_histogram",
    "repeated_ids",
    "sigma_milli",
    "sketch",
    "verify_opening",
]
