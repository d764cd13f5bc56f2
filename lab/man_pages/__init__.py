# SPDX-License-Identifier: Apache-2.0
"""Manual pages and bash completion of the commands, from the parsers that print ``--help``."""
