"""Contractual churn: how long subscriptions last, why they end, and which running ones end within the horizon.

Pure: frames and values in, frames and values out. Activity and its return belong to `models`, not here.
"""
