"""Kubernetes: what a bundle, a Job and their rights look like there, written out, sent, and looked at.

Objects are plain dicts, as the API has them; `yaml` writes them. What talks to a cluster imports lightkube itself.
"""
