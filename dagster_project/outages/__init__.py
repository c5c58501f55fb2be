"""Our own faults that look like churn: broken recorders, providers that refuse, tokens that die in mass.

What a silence means when nothing was broken is decided in `lifecycle`; why a user left, in `reasons`.
"""
