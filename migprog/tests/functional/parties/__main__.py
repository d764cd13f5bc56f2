# SPDX-License-Identifier: Apache-2.0
"""Writes the table for the documentation."""

import sys

from migprog.tests.functional import parties

parties.CSV.write_text(parties.rendered())
sys.stdout.write(f"{parties.CSV}\n")
