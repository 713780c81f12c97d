"""What the spikes say: rates, irregularity, synchrony, oscillations; how weights spread; what a run takes."""

from __future__ import annotations

from neurosim.analysis.cost import TECHNOLOGIES as TECHNOLOGIES
from neurosim.analysis.cost import Cost as Cost
from neurosim.analysis.cost import cost as cost
from neurosim.analysis.glm import SpikeGLM as SpikeGLM
from neurosim.analysis.glm import bits_per_spike as bits_per_spike
from neurosim.analysis.glm import raised_cosines as raised_cosines
from neurosim.analysis.similarity import coincidence_factor as coincidence_factor
from neurosim.analysis.similarity import van_rossum_distance as van_rossum_distance
from neurosim.analysis.spiketrains import Peak as Peak
from neurosim.analysis.spiketrains import RateTrace as RateTrace
from neurosim.analysis.spiketrains import Spectrum as Spectrum
from neurosim.analysis.spiketrains import cv2 as cv2
from neurosim.analysis.spiketrains import cv_isi as cv_isi
from neurosim.analysis.spiketrains import fano as fano
from neurosim.analysis.spiketrains import isi as isi
from neurosim.analysis.spiketrains import ks_isi as ks_isi
from neurosim.analysis.spiketrains import lv as lv
from neurosim.analysis.spiketrains import neuron_rates as neuron_rates
from neurosim.analysis.spiketrains import population_rate as population_rate
from neurosim.analysis.spiketrains import power_spectrum as power_spectrum
from neurosim.analysis.spiketrains import rate as rate
from neurosim.analysis.spiketrains import spectral_peak as spectral_peak
from neurosim.analysis.spiketrains import synchrony as synchrony
from neurosim.analysis.weights import WeightHistogram as WeightHistogram
from neurosim.analysis.weights import weight_histogram as weight_histogram
