# SPDX-License-Identifier: Apache-2.0
"""What tests, benchmarks and the programs in ``tools/`` need: hosts, guests, brokers, databases on
one machine."""
