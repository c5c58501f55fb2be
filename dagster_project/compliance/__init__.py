"""Law and the user's own choice as data: packs of rules, and the hours, words and proofs that follow from them.

Not legal advice. Which rule closes which channel for whom is decided in `reach` and `strategy`.
"""
