"""Edges to numbers: degree, paths, clustering, modules, centrality."""
