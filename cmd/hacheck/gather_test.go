package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hacheck/checks"
	"hacheck/notify"
	"hacheck/notify/spool"
)

// A node with thousands of backends, all of them down, has an event that can be
// kept all the same.
func TestManyBackendsDownFitIntoAnEvent(t *testing.T) {
	const backends = 8000
	down := lookUp(func() ([]checks.Result, error) {
		results := make([]checks.Result, backends)
		for i := range results {
			results[i] = checks.Result{
				Name: fmt.Sprintf("customer_%05d_production_backend", i), Status: checks.Fail,
				Reason: "no usable server (" + strings.Repeat("app DOWN: L4CON Connection refused, ", 10) + ")",
			}
		}
		return results, nil
	})
	none := lookUp(func() ([]checks.Verdict, error) { return nil, nil })
	now := time.Now()
	event := notify.Event{ID: spool.NewID(now), Time: now, Kind: notify.Instance, Name: "VI_1", State: notify.Fault}
	new(app).addBackends(t.Context(), &event, down, none)
	if got := event.HAProxy.Down; len(got) != backends || got[0].Reason == "" || got[backends-1].Name != "customer_07999_production_backend" {
		t.Errorf("%d backends are down, the first because %q", len(got), got[0].Reason)
	}
	queue, err := spool.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer queue.Close()
	if err := queue.Put(event); err != nil {
		t.Error(err)
	}
}
