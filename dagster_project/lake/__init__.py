"""The store: Parquet partitions, the DuckDB that computes on them, the SQL models that fill them.

What a table means is said in `sql/` and in the pure packages, not here.
"""
