//go:build lab

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hacheck/notify"
)

// transitionID is the MESSAGE_ID by which operators find transitions; it is
// part of what hacheck promises.
const transitionID = "b4b0d1e2c9a64f5f8f7a3ad1c06e7d55"

// entry is what is looked at of one line that hacheck wrote to journald.
type entry struct {
	Microseconds string `json:"__REALTIME_TIMESTAMP"`
	Message      string `json:"MESSAGE"`
	MessageID    string `json:"MESSAGE_ID"`
	Host         string `json:"HACHECK_HOST"`
	Instance     string `json:"HACHECK_INSTANCE"`
	Kind         string `json:"HACHECK_KIND"`
	State        string `json:"HACHECK_STATE"`
	Check        string `json:"HACHECK_CHECK"`
	Status       string `json:"HACHECK_STATUS"`
	Previous     string `json:"HACHECK_PREVIOUS"`
}

// change is one of a check's verdicts that differs from the one before.
type change struct{ from, to string }

// entries are hacheck's lines in the node's journal after a moment.
func (n *node) entries(ctx context.Context, since time.Time) ([]entry, error) {
	got := n.run(ctx, "journalctl", "-q", "--no-pager", "-t", "hacheck", "-o", "json", "--since", "@"+strconv.FormatInt(since.Unix(), 10))
	if got.code != 0 {
		return nil, fmt.Errorf("journalctl on node %s: exit code %d: %s", n.name, got.code, got.text())
	}
	var found []entry
	for line := range strings.Lines(got.stdout) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return nil, fmt.Errorf("journal of node %s: %w: %s", n.name, err, line)
		}
		at, err := strconv.ParseInt(e.Microseconds, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("journal of node %s: time of an entry: %w", n.name, err)
		}
		if time.UnixMicro(at).After(since) {
			found = append(found, e)
		}
	}
	return found, nil
}

// journalHas asserts what the node's journal got since the mark: one line for
// the transition of each subject, and one for each change of the verdict,
// however often the check ran.
func (l *lab) journalHas(ctx context.Context, t *testing.T, n *node, c *configuration, mark time.Time, state notify.State, changes []change) {
	t.Helper()
	var transitions, verdicts []entry
	look := func() error {
		entries, err := n.entries(ctx, mark)
		transitions, verdicts = nil, nil
		for _, e := range entries {
			if e.Check != "" {
				verdicts = append(verdicts, e)
			} else {
				transitions = append(transitions, e)
			}
		}
		return err
	}
	var err error
	// journald writes what it was sent a moment later.
	wait := waitFor(ctx, 5*time.Second, fmt.Sprintf("%d transitions and %d changes of the verdict in node %s's journal", len(c.subjects), len(changes), n.name), func() bool {
		err = look()
		return err != nil || len(transitions) >= len(c.subjects) && (len(changes) == 0 || len(verdicts) > 0 && verdicts[len(verdicts)-1].Status == changes[len(changes)-1].to)
	})
	if err != nil {
		t.Error(err)
		return
	}
	if wait != nil {
		t.Error(wait)
	}
	for _, subject := range c.subjects {
		matching := 0
		for _, e := range transitions {
			if e.Instance == subject.name && e.Kind == string(subject.kind) && e.State == string(state) && e.Host == n.host() {
				matching++
			}
		}
		if matching != 1 {
			t.Errorf("node %s's journal has %d lines that %s is %s, want 1: %+v", n.name, matching, subject.name, state, transitions)
		}
	}
	for _, e := range transitions {
		if e.MessageID != transitionID || !slices.ContainsFunc(c.subjects, func(s named) bool { return s.name == e.Instance }) {
			t.Errorf("node %s's journal: MESSAGE_ID %q, HACHECK_INSTANCE %q: want %s and a name of the configuration: %q", n.name, e.MessageID, e.Instance, transitionID, e.Message)
		}
	}
	var got []change
	for _, e := range verdicts {
		got = append(got, change{e.Previous, e.Status})
	}
	// A run in the very moment of a kill can still find a worker that answers,
	// which is a warning on the way to the failure.
	if len(got) == 2 && got[0].to == "warn" && got[1].from == "warn" {
		got = []change{{got[0].from, got[1].to}}
	}
	if !slices.Equal(got, changes) {
		t.Errorf("node %s's journal: the verdict changed %v, want %v: %+v", n.name, got, changes, verdicts)
	}
}
