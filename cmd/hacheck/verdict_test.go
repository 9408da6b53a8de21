package main

import (
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"hacheck/checks"
	"hacheck/config"
)

// Runs that find the same change at once tell it once between them.
func TestOneRunTellsAChange(t *testing.T) {
	settings := config.Default()
	settings.RunDir = filepath.Join(t.TempDir(), "run")
	a := &app{config: settings, log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	verdict := checks.Verdict{Result: checks.Result{Name: "haproxy", Status: checks.Pass, Reason: "fine"}, Time: time.Now()}
	const rounds = 50
	twice := 0
	for round := range rounds {
		if err := checks.SaveVerdict(settings.RunDir, verdict); err != nil {
			t.Fatal(err)
		}
		verdict.Status = checks.Pass + checks.Status(round+1)%2*2 // pass and fail in turn
		var mu sync.Mutex
		told := 0
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				before, known, err := a.replace(verdict, a.askVerdict(verdict.Name))
				if err != nil || !known {
					t.Errorf("the verdict before is known: %t, %v", known, err)
				}
				mu.Lock()
				defer mu.Unlock()
				if before.Status != verdict.Status {
					told++
				}
			})
		}
		group.Wait()
		switch {
		case told == 0:
			t.Fatalf("round %d: nobody tells the change", round)
		case told > 1:
			twice++
		}
	}
	// Nobody waits for the lock longer than changeWait, which a busy machine may
	// exceed now and then.
	if twice > rounds/5 {
		t.Errorf("%d of %d changes were told more than once", twice, rounds)
	}
}

// A verdict that another run keeps while this one's check runs is the one before.
func TestVerdictReplacedMeanwhile(t *testing.T) {
	settings := config.Default()
	settings.RunDir = filepath.Join(t.TempDir(), "run")
	a := &app{config: settings, log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	verdict := checks.Verdict{Result: checks.Result{Name: "haproxy", Status: checks.Pass, Reason: "fine"}, Time: time.Now()}
	for _, other := range []checks.Status{checks.Fail, checks.Pass, checks.Unknown, checks.Fail} {
		last := a.askVerdict("haproxy")
		<-last.done
		if last.err != nil {
			t.Fatal(last.err)
		}
		between := verdict
		between.Status = other
		if err := checks.SaveVerdict(settings.RunDir, between); err != nil {
			t.Fatal(err)
		}
		if before, known, err := a.replace(verdict, last); err != nil || !known || before.Status != other {
			t.Errorf("the verdict before is %v, known %t, %v; want %v", before.Status, known, err, other)
		}
	}
}
