"""Sources of spikes and currents."""
