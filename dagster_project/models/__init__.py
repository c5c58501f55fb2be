"""Models that fit: activity, return, value. Pure: frames and values in, frames and values out."""
