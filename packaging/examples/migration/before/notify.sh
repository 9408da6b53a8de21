#!/bin/bash
STATE=$1
INSTANCE=$2
CONF=/etc/keepalived/keepalived.conf
VIP=$(grep -A5 "vrrp_instance $INSTANCE" $CONF | grep -A1 "virtual_ipaddress" | tail -n 1 | tr -d ' ')
HOST=$(hostname)
echo "$(date '+%F %T') $INSTANCE on $HOST became $STATE" >> /var/log/keepalived-notify.log
mail -s "[$HOST] $INSTANCE is now $STATE" root@localhost <<TEXT
Host: $HOST
Instance: $INSTANCE
State: $STATE
VIP: $VIP
TEXT
