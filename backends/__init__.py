"""The engines, loaded on use through the registry; a backend never imports another."""
