// Package lab is the two-node lab: two Debian nodes with real systemd,
// journald, keepalived and HAProxy, booted side by side on one machine, with
// hacheck installed in them and a mail relay, a webhook receiver and the
// servers behind HAProxy beside them. It breaks the pair in every way that
// matters and asserts where the virtual addresses are, how long the move took,
// which mails and webhook posts came and what the check answered. The same
// faults are then put to the usual shell scripts, and one table shows both. At
// the end the benchmark runs on a node, where systemd and D-Bus are real.
//
// It needs root, debootstrap, systemd-nspawn and nsenter ("test/install lab" installs
// them) and runs with:
//
//	go test -tags lab -count=1 -timeout 25m -v ./test/lab
//
// Everything lives in one network namespace, one folder under /run and one
// control group per node, all named hacheck-lab. No traffic leaves the
// namespace. A run takes everything down again when it ends, fails, panics or
// is interrupted; what a killed run left behind is removed by the next one. The
// root file system the nodes share is kept under /var/cache/hacheck-lab.
//
// The code is built with the tag lab only, so that ordinary builds and tests
// need none of this.
package lab
