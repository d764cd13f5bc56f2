# SPDX-License-Identifier: Apache-2.0
"""What is reported of the migrations of a host, when, and how it reaches a conductor."""
