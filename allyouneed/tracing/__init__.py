"""Seeing a model at work: recording from outside, figures, and the report of a run."""
