"""Taking users' own files in: finding them, reading them tolerantly, typing and dating each row once.

What a row means for a user (activity, cadence) is said in `sql/` from staging on, not here.
"""
