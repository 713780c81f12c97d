"""Networks in SONATA: a circuit in HDF5 and CSV, a simulation in JSON.

Source: SONATA developer guide (github AllenInstitute/sonata, docs/SONATA_DEVELOPER_GUIDE.md); K. Dai et al., PLoS
Comput. Biol. 16 (2020), e1007696.
"""

from neurosim.interchange.sonata.rule import SonataEdges as SonataEdges
