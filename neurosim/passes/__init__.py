"""Passes that rewrite a network step by step into what a backend runs."""
