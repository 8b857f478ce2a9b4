"""Scoring a router on labelled requests."""
