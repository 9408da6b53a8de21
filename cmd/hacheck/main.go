// Command hacheck decides whether a node of a keepalived + HAProxy pair should
// hold the VIP, and tells people when keepalived moved it.
package main

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

func main() { os.Exit(int(newApp().main(os.Args[1:]))) }

// newApp makes the process ready and gives its app.
func newApp() *app {
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, started: time.Now()}
	if slices.Contains(os.Args, "notify") || slices.Contains(os.Args, "deliver") {
		// Before anything else: keepalived starts its stop hook in the moment
		// in which systemd ends its whole control group. For a check, which
		// runs every second, listening would cost a tenth of its time; whether
		// this is one is known for sure when the command line is parsed.
		a.signals = make(chan os.Signal, 1)
		signal.Notify(a.signals, endSignals...)
	}
	// Nobody reading the answer is no reason to lose an event or a verdict.
	signal.Ignore(syscall.SIGPIPE)
	// keepalived's umask would make directories that nobody can use until their
	// mode is set; every file here is made with its mode.
	syscall.Umask(0)
	return a
}

// endSignals ask a process to end.
var endSignals = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP}
