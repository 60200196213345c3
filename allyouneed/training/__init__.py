"""Training, floor 4: settings, schedules, averages and checkpoints around a plain torch loop."""
