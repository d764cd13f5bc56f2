# SPDX-License-Identifier: Apache-2.0
"""What several tests use; the tests themselves are in ``unit/`` and ``functional/``."""
