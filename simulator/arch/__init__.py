"""Descriptions of machines: files with a provenance on every number, validated once, frozen inside."""
