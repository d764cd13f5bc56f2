# SPDX-License-Identifier: Apache-2.0
"""Sphinx's configuration for the manual."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "ext"))

import generated

project = "migprog"
copyright = "migprog developers"
extensions = [
    "cliff.sphinxext",
    "generated",
    "oslo_config.sphinxext",
    "oslo_policy.sphinxext",
    "sphinxcontrib.openapi",
]
rst_epilog = generated.substitutions()
# What cliff gives each command, whatever it shows.
autoprogram_cliff_ignored = ["--help"]
html_theme = "alabaster"
html_theme_options = {
    "description": "Live migrations of an OpenStack cloud: how far, how long, whether ever",
    "page_width": "1080px",
    "sidebar_collapse": True,
}
html_sidebars = {"**": ["about.html", "searchbox.html", "navigation.html"]}
