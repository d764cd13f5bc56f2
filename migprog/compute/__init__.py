# SPDX-License-Identifier: Apache-2.0
"""The agent: it watches the migrations of one host, and reports them to the conductors."""
