"""The parts, one file per joint. Every part that can be stacked is a `Layer`; see `layer.py` for the one interface."""
