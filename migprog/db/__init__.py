# SPDX-License-Identifier: Apache-2.0
"""SQL: tables, statements, connections, and what differs between databases."""
