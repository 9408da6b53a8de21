#!/bin/bash
# The check as it is copied from pair to pair: is the unit active, and does
# each port accept a connection? It is here to be measured, not to be used.
systemctl is-active --quiet haproxy || exit 1
for port in "$@"; do
  timeout 1 bash -c "</dev/tcp/127.0.0.1/$port" 2>/dev/null || exit 1
done
exit 0
