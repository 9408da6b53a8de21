// Package haproxy knows HAProxy: it talks to a running process over the admin
// socket and reads what its configuration says. It reports what it finds with
// its origin and judges nothing: thresholds and verdicts belong to the checks.
package haproxy
