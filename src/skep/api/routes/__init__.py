"""The whole Engine API, a module for each noun."""
