"""What a night costs, measured. Run by `python -m benchmarks`; nothing of the product imports this."""
