"""Greedy search, beam search, sampling, scoring: one implementation for every model with `init_cache` and `step`.

`greedy.greedy`, `beam.beam`, `sampling.sample`, `scoring.score`; penalties by formula in `penalties.py`. Nothing
is imported here, so that `settings.py` stays free of torch.
"""
