"""The merged Compose model as plain data, how it is rendered, and how it is kept."""
