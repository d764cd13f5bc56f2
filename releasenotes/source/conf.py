# SPDX-License-Identifier: Apache-2.0
"""Sphinx's configuration for the release notes."""

project = "migprog release notes"
copyright = "migprog developers"
extensions = ["reno.sphinxext"]
html_theme = "alabaster"
html_theme_options = {"page_width": "1080px"}
