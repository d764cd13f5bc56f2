# SPDX-License-Identifier: Apache-2.0
"""The commands of version 1 of the API."""
