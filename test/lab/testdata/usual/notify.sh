#!/bin/bash
# The notify hook as it is found on many pairs. The grep never reaches
# virtual_ipaddress, which is more than five lines below vrrp_instance.
STATE=$1
INSTANCE=$2
CONF=/etc/keepalived/keepalived.conf
VIP=$(grep -A5 "vrrp_instance $INSTANCE" $CONF | grep -A1 "virtual_ipaddress" | tail -n 1 | tr -d ' ')
HOST=$(hostname)
echo "$(date '+%F %T') $INSTANCE on $HOST became $STATE" >> /var/log/keepalived-notify.log
printf 'From: keepalived@localhost\r\nTo: root@localhost\r\nSubject: [%s] %s is now %s\r\n\r\nHost: %s\r\nInstance: %s\r\nState: %s\r\nVIP: %s\r\n' \
	"$HOST" "$INSTANCE" "$STATE" "$HOST" "$INSTANCE" "$STATE" "$VIP" |
	curl -s --max-time 10 --url smtp://192.0.2.1:25 --mail-from keepalived@localhost --mail-rcpt root@localhost --upload-file -
