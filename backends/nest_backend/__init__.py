"""The backend ``nest``: cells, connections and input of a network, recognised and handed to NEST."""
