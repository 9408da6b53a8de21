package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hacheck/notify"
)

// refuses is a channel that gives every event up.
func refuses(name string) *fake {
	return &fake{name: name, answer: func(_ context.Context, _ notify.Event) error {
		return fmt.Errorf("mail: %w", &notify.PermanentError{Err: errors.New("550 rejected")})
	}}
}

// Who retries thousands of entries lets a hook in between that has to record what
// it has delivered.
func TestManyChangesLetOthersIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 200
		dir := t.TempDir()
		spool, hook := open(t, dir), open(t, dir)
		for n := range count {
			put(t, spool, event("VI_1", n))
		}
		if report := drain(t, spool, Policy{}, refuses("mail")); report.Dead != count {
			t.Fatalf("%+v", report)
		}
		var changed atomic.Int32
		var first sync.Once
		changedBefore := make(chan int32, 1)
		spool.step = func(step string) {
			if step != "record: durable" {
				return
			}
			changed.Add(1)
			first.Do(func() {
				go func() {
					release, err := hook.lockChanges(t.Context())
					if err != nil {
						t.Error(err)
					} else {
						release()
					}
					changedBefore <- changed.Load()
				}()
			})
			time.Sleep(5 * time.Millisecond) // as long as two fsyncs take
		}
		done, err := spool.RetryAll(t.Context())
		if err != nil || done != count {
			t.Errorf("%d of %d are due, %v", done, count, err)
		}
		if before := <-changedBefore; before > count/4 {
			t.Errorf("the hook had to wait for %d of %d changes", before, count)
		}
		// What is due already is not written once more.
		if done, err := spool.RetryAll(t.Context()); err != nil || done != count || changed.Load() != count {
			t.Errorf("%d are due after %d changes, %v", done, changed.Load(), err)
		}
	})
}

func TestDropsAllOfOneKind(t *testing.T) {
	dir := t.TempDir()
	spool := open(t, dir)
	put(t, spool, event("VI_1", 1), event("VI_2", 2))
	rubbish := filepath.Join(dir, "spool", queueDir, "rubbish")
	if err := os.WriteFile(rubbish, []byte("x"), 0o640); err != nil {
		t.Fatal(err)
	}
	if report := drain(t, spool, Policy{}, refuses("mail")); report.Dead != 2 || len(report.SetAside) != 1 {
		t.Fatalf("%+v", report)
	}
	put(t, spool, event("VI_3", 3), event("VI_4", 4), event("VI_5", 5))
	if err := os.Mkdir(rubbish, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(rubbish, "within"), 0o750); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		what                   string
		drop                   func(context.Context) (int, int, error)
		events, damaged, waits int
	}{
		{"dead letters", spool.DropDead, 2, 1, 3},
		{"dead letters once more", spool.DropDead, 0, 0, 3},
		{"what waits", spool.DropWaiting, 3, 1, 0},
	} {
		events, damaged, err := test.drop(t.Context())
		if events != test.events || damaged != test.damaged || err != nil {
			t.Errorf("%s: dropped %d events and %d damaged files, %v", test.what, events, damaged, err)
		}
		waiting, _, err := spool.List(t.Context())
		if len(waiting) != test.waits || err != nil {
			t.Errorf("%s: %d wait, %v", test.what, len(waiting), err)
		}
	}
	if _, err := os.Lstat(rubbish); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the damaged folder is still there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	put(t, spool, event("VI_6", 6))
	if _, _, err := spool.DropWaiting(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
