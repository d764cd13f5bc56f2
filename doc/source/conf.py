# SPDX-License-Identifier: Apache-2.0
"""Sphinx's configuration for the manual."""

project = "migprog"
copyright = "migprog developers"
extensions = ["oslo_config.sphinxext"]
html_theme = "alabaster"
html_theme_options = {"page_width": "1080px"}
