"""Whom a contact moves: effects per user learnt from randomised history, judged honestly, shipped or refused.

Readouts of whole arms live elsewhere; so does the belief about a strategy that no experiment has tried.
"""
