"""The language: what a user writes, checked where it is written."""
