"""Measurement inside the room: an exposure log matched with conversions.

    exposures + conversions --clip, last touch--> journeys --counts--> figures --gate (noise)--> answer --> results

Exposures come from the DSP by row handle, conversions from the advertiser by match; both are positions in the
provider's population here. Journeys and figures are private; `results` works on a released answer only.
"""

from cleanroom.measurement._errors import LogInvalid, MeasurementError, SpecInvalid
from cleanroom.measurement._figures import ARMS, OUTSIDE, frequency_labels, measurement_figures
from cleanroom.measurement._journeys import Conversions, Exposures, Journeys, MeasureSpec, journeys
from cleanroom.measurement._results import Estimate, frequency, results, touchpoints, uplift

__all__ = [
    "ARMS",
    "OUTSIDE",
    "Conversions",
    "Estimate",
    "Exposures",
    "Journeys",
    "LogInvalid",
    "MeasureSpec",
    "MeasurementError",
    "SpecInvalid",
    "frequency",
    "frequency_labels",
    "journeys",
    "measurement_figures",
    "results",
    "touchpoints",
    "uplift",
]
