"""Portraits of audiences: TGI with intervals, comparisons, RFM, AIPL, one HTML page."""

from dmp.portrait._errors import PortraitInvalid
from dmp.portrait.stages import NAMES, Flow, aipl, flow, rfm
from dmp.portrait.tgi import Contrast, Feature, compare, high_features, portrait

__all__ = [
    "NAMES",
    "Contrast",
    "Feature",
    "Flow",
    "PortraitInvalid",
    "aipl",
    "compare",
    "flow",
    "high_features",
    "portrait",
    "rfm",
]
