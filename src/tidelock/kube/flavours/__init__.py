"""One module for each tool that applies manifests: what it needs so that a changed bundle runs once.

Each has `files(delivery)`: path below the output directory → content. The rules of each tool, with their source, are
in `docs/kubernetes/`.
"""
