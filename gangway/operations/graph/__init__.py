"""Pictures of a stack, made from its merged model: Mermaid text, and SVG by Graphviz's `dot`."""
