# SPDX-License-Identifier: Apache-2.0
"""migprog: watches live migrations, and tells how they stand and how they went."""
