"""Doubles and drivers that the tests share."""
