package main

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// Hooks that come one after another, with a relay that takes nothing, do not keep
// the one that delivers: it ends after twice its budget, and another one goes on.
func TestNoHookStaysForAllOthers(t *testing.T) {
	t.Parallel()
	const hooks = 40
	silent := listenLoopback(t)
	for _, test := range []struct {
		relay, address string
		// budget is a whole number of seconds. It has to be longer than the pause
		// after a failure, or no hook stays for the relay.
		budget, pause time.Duration
	}{
		{"silent", silent.Addr().String(), time.Second, 300 * time.Millisecond},
		// Nothing listens on the port that TCP's multiplexer once had.
		{"refuses", "127.0.0.1:1", 6 * time.Second, 750 * time.Millisecond},
	} {
		t.Run(test.relay, func(t *testing.T) {
			t.Parallel()
			host, port, _ := net.SplitHostPort(test.address)
			n := newNode(t, fmt.Sprintf(`notify:
  budget: %s
  channels:
    - {type: smtp, host: %s, port: %s, tls: none, from: lb@example.org, to: ops@example.org}
`, test.budget, host, port))
			took := make([]time.Duration, hooks)
			var running sync.WaitGroup
			began := time.Now()
			for i := range hooks {
				running.Go(func() {
					began := time.Now()
					if output, err := n.command("notify", "MASTER", fmt.Sprintf("VI_%d", i)).CombinedOutput(); err != nil {
						t.Errorf("hook %d: %v\n%s", i, err, output)
					}
					took[i] = time.Since(began)
				})
				time.Sleep(test.pause) // the pace of the transitions
			}
			all := time.Since(began)
			running.Wait()
			slowest := slices.Max(took)
			t.Logf("the slowest of the hooks, which came within %s, took %s", all, slowest)
			// A busy machine adds to twice the budget, far from what one hook for
			// all would take.
			if slowest > all*3/4 {
				t.Errorf("the slowest hook took %s of the %s in which all came", slowest, all)
			}
			if left := n.queued(); len(left) != hooks {
				t.Errorf("%d events wait, want %d", len(left), hooks)
			}
		})
	}
}
