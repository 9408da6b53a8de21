// Package checks decides, within a context, whether something this node needs
// is healthy. One file holds one kind of check. A check knows nothing about
// exit codes, configuration files or keepalived: it is built from typed values
// and answers with a Result.
package checks

import (
	"context"
	"fmt"
	"time"
)

// Status is what a check found. The zero value is not a status, so that a
// forgotten assignment shows.
type Status int

// The four answers a check can give.
const (
	// Pass: what was asked for is there.
	Pass Status = iota + 1
	// Warn: the node can do its work, but an operator should look.
	Warn
	// Fail: the node cannot do its work.
	Fail
	// Unknown: nothing could be found out, so nothing is claimed.
	Unknown
)

var statusNames = map[Status]string{Pass: "pass", Warn: "warn", Fail: "fail", Unknown: "unknown"}

// String returns the status in lower case: pass, warn, fail or unknown.
func (s Status) String() string {
	if name, ok := statusNames[s]; ok {
		return name
	}
	return fmt.Sprintf("status(%d)", int(s))
}

// Healthy reports whether the node may hold the VIP by this status.
func (s Status) Healthy() bool { return s == Pass || s == Warn }

// MarshalText writes the status as in String. It refuses values that are none.
func (s Status) MarshalText() ([]byte, error) {
	if name, ok := statusNames[s]; ok {
		return []byte(name), nil
	}
	return nil, fmt.Errorf("%d is not a check status", int(s))
}

// UnmarshalText reads what MarshalText wrote.
func (s *Status) UnmarshalText(text []byte) error {
	for status, name := range statusNames {
		if name == string(text) {
			*s = status
			return nil
		}
	}
	return fmt.Errorf("%q is not a check status (pass, warn, fail, unknown)", text)
}

// Result is the answer of one check.
type Result struct {
	// Name is the check's name as the operator wrote it, or the part's name
	// within a composite check.
	Name string `json:"name"`
	// Status is the answer.
	Status Status `json:"status"`
	// Reason says in one line why, in words an operator can act on. It never
	// holds a line break or a secret.
	Reason string `json:"reason"`
	// Parts are the results this one was composed of, worst first where the
	// number is bounded; empty for a simple check.
	Parts []Result `json:"parts,omitempty"`
}

// Check answers one question about this node.
type Check interface {
	// Name is the name the result carries.
	Name() string
	// Run answers by ctx's deadline with what is known then. It never panics
	// on what a peer sends and never blocks past ctx.
	Run(ctx context.Context) Result
}

// Verdict is a Result with the time it took, as shown to people and kept in
// the run directory for the notify hook.
type Verdict struct {
	Result
	// Time is when the check began.
	Time time.Time `json:"time"`
	// Took is how long it ran.
	Took time.Duration `json:"took_ns"`
}
