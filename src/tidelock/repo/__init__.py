"""The files: a directory of migrations as it lies on disk or in a mounted ConfigMap, and what git knows of it."""
