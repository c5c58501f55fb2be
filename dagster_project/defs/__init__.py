"""Dagster's side: when and where things run, never what they do. One module per layer, and the run's own."""
