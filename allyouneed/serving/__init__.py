"""A finished run behind HTTP: `allyouneed serve RUN`."""
