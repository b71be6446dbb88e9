"""Sends records with fluent-logger. Usage: fluent.py HOST PORT RECORDS"""

import sys

from fluent import sender

host, port, records = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
logger = sender.FluentSender("app", host=host, port=port, timeout=10.0)
for number in range(records):
    if not logger.emit("web", {"log": f"fluent record {number}", "level": "info", "container_name": "web"}):
        sys.exit(f"not sent: {logger.last_error}")
logger.close()
print("sent")
