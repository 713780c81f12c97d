"""Networks in NIR, the Neuromorphic Intermediate Representation: graphs of neurons and linear maps in HDF5.

NIR says which equations a neuron has, and leaves open how a simulator steps them, in which step a spike acts, whether
a spike is a pulse or an impulse, and how a neuron is reset. What is chosen here is in docs/nir.md, and is written into
the metadata of the graphs that neurosim writes.

Source: J. E. Pedersen et al., Neuromorphic intermediate representation: a unified instruction set for interoperable
brain-inspired computing, Nat. Commun. 15 (2024), 8122; the package nir 1.0.8.
"""
