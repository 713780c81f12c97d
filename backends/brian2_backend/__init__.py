"""Networks on Brian2: steps printed as its abstract code, edges as its synapses, spikes in its queues."""
