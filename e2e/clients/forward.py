"""Sends log records with fluent-logger.

Usage: forward.py PORT RECORDS
"""

import sys

from fluent.sender import FluentSender

port, records = int(sys.argv[1]), int(sys.argv[2])
sender = FluentSender("shop.web", host="127.0.0.1", port=port)
for number in range(records):
    if not sender.emit("access", {"log": f"fluent record {number}", "container_name": "web"}):
        sys.exit(f"record {number}: {sender.last_error}")
sender.close()
