# SPDX-License-Identifier: Apache-2.0
"""The conductor: it receives the reports of agents and stores them."""
