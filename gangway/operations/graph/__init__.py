"""Pictures of a stack, drawn from its merged model: an SVG and a Mermaid text.

Own layout rather than Graphviz, which is no Python package and would have to be on every machine
(`grandalf` gives coordinates, but neither routes edges around boxes nor is it maintained).
"""
