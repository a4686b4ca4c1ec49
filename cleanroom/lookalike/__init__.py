"""Lookalike models inside the room: who of the provider's population resembles the matched seeds.

    features --encode--> matrix --folds, blend--> out-of-fold scores --expand--> audience rows, bins
                                                        '--histograms--> release gate (noise) --> report

Everything here sees pseudonymous rows only and returns private values: what leaves the room leaves by
`cleanroom.release`. Scores never reach the advertiser; an audience goes sealed to its recipient.
"""

from cleanroom.lookalike._errors import (
    AudienceSizeInvalid,
    LookalikeError,
    NoUsableFeature,
    TooFewSeeds,
)
from cleanroom.lookalike._expand import Audience, expand
from cleanroom.lookalike._features import Encoded, FeatureNote, encode
from cleanroom.lookalike._train import Trained, TrainSpec, auc, calibrate, class_prior, train
from cleanroom.lookalike.baselines import BASELINES, score_baseline
from cleanroom.lookalike.figures import quality

__all__ = [
    "BASELINES",
    "Audience",
    "AudienceSizeInvalid",
    "Encoded",
    "FeatureNote",
    "LookalikeError",
    "NoUsableFeature",
    "TooFewSeeds",
    "TrainSpec",
    "Trained",
    "auc",
    "calibrate",
    "class_prior",
    "encode",
    "expand",
    "quality",
    "score_baseline",
    "train",
]
