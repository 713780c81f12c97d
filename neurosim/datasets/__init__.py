"""Data sets: recordings of event cameras and cochleas, images and time series, read from files that lie here.

Nothing is downloaded, and nothing in a file is carried out. What a file claims to hold is checked against its size
before it is read; a file that is truncated, damaged or of another format is refused with its name and the place in it.

:class:`Dataset` is what ``torch.utils.data.DataLoader`` takes: it has a length, and ``dataset[k]`` is a sample and its
label.
"""

from neurosim.datasets.collection import Dataset
from neurosim.datasets.event_files import read_events
from neurosim.datasets.events import Events
from neurosim.datasets.images import read_images
from neurosim.datasets.recordings import from_tonic, read_recordings
from neurosim.datasets.series import read_series

__all__ = ["Dataset", "Events", "from_tonic", "read_events", "read_images", "read_recordings", "read_series"]
