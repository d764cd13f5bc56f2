# SPDX-License-Identifier: Apache-2.0
"""When a migration ends, and whether it ever will; also before it has begun."""
