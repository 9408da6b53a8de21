// Command hacheck decides whether a node of a keepalived + HAProxy pair should
// hold the VIP, and tells people when keepalived moved it.
package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, started: time.Now()}
	// Before anything else: keepalived starts its stop hook in the moment in
	// which systemd ends its whole control group. Who listens to these signals
	// is decided once the command is known.
	a.signals = make(chan os.Signal, 1)
	signal.Notify(a.signals, endSignals...)
	// Nobody reading the answer is no reason to lose an event or a verdict.
	signal.Ignore(syscall.SIGPIPE)
	// keepalived's umask would make directories that nobody can use until their
	// mode is set; every file here is made with its mode.
	syscall.Umask(0)
	os.Exit(int(a.main(os.Args[1:])))
}

// endSignals ask a process to end.
var endSignals = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP}
