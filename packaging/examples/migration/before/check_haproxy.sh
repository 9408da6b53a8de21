#!/bin/bash
PORT=80
systemctl is-active --quiet haproxy || exit 1
timeout 1 bash -c "</dev/tcp/127.0.0.1/$PORT" 2>/dev/null || exit 1
exit 0
