"""Starts the real binary, real servers and real clients for the tests."""
