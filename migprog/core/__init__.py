# SPDX-License-Identifier: Apache-2.0
"""What is decided, as functions of values: no clock, log, configuration or I/O."""
