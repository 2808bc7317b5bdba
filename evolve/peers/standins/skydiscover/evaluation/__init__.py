"""Stands in for `skydiscover.evaluation`."""
