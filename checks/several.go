package checks

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// maxPeers bounds what one check connects to side by side.
	maxPeers = 256
	// maxParts bounds the parts a result carries, worst first.
	maxParts = 100
	// maxWords bounds the parts a reason speaks of.
	maxWords = 8
	// maxLabel bounds how a peer is called in results, in bytes.
	maxLabel = 200
	// settle is how long the others may still take when the answer is known
	// to be bad, or when ctx has ended: long enough for a refused connection
	// to be named, too short to matter for keepalived.
	settle = 30 * time.Millisecond
)

// sideBySide runs probe for every name at once and returns when the answer by
// require is known or ctx has ended, whatever the probes do. probe answers
// with a status and a predicate ("connection refused"). Probes not waited for
// are cancelled.
func sideBySide(ctx context.Context, names []string, require Require, probe func(ctx context.Context, i int) (Status, string)) []Result {
	start := time.Now()
	probeCtx, cancel := context.WithCancel(ctx)
	defer cancel()

	type answer struct {
		i int
		Result
	}
	answers := make(chan answer, len(names)) // no probe ever blocks on it
	for i, name := range names {
		go func() {
			status, reason := probe(probeCtx, i)
			answers <- answer{i, Result{Name: name, Status: status, Reason: oneLine(reason)}}
		}()
	}

	results := make([]Result, len(names))
	need, good, open := require.Of(len(names)), 0, len(names)
	ended := ctx.Done()
	var settled <-chan time.Time
wait:
	for open > 0 && good < need {
		if settled == nil && good+open < need {
			settled = time.After(settle)
		}
		select {
		case a := <-answers:
			results[a.i] = a.Result
			open--
			if a.Status.Healthy() {
				good++
			}
		case <-ended:
			ended = nil
			settled = time.After(settle)
		case <-settled:
			break wait
		}
	}
	for i, name := range names {
		if results[i].Status != 0 {
			continue
		}
		results[i] = Result{Name: name, Status: Unknown, Reason: "was not waited for"}
		if ctx.Err() != nil {
			results[i] = Result{Name: name, Status: Fail, Reason: "gave no answer within " + budget(ctx, start)}
		}
	}
	return results
}

// combine judges parts by require: Pass when enough are healthy, Unknown when
// those of which nothing is known could make up for it, else Fail. claim says
// what the healthy ones do ("addresses answer", "units active"). A part's
// reason is a predicate to its name.
func combine(name string, require Require, claim string, parts []Result) Result {
	result := Result{Name: name}
	need, good, unknown := require.Of(len(parts)), 0, 0
	for _, part := range parts {
		switch {
		case part.Status.Healthy():
			good++
		case part.Status == Unknown:
			unknown++
		}
	}
	switch {
	case len(parts) > 0 && good >= need:
		result.Status = Pass
	case len(parts) > 0 && good+unknown >= need:
		result.Status = Unknown
	default:
		result.Status = Fail
	}
	if len(parts) == 1 && need == 1 {
		result.Reason = oneLine(parts[0].Name + " " + parts[0].Reason)
		return result
	}

	worst := slices.Clone(parts)
	slices.SortStableFunc(worst, func(a, b Result) int { return cmp.Compare(severity(b.Status), severity(a.Status)) })
	var words strings.Builder
	fmt.Fprintf(&words, "%d of %d %s", good, len(parts), claim)
	if result.Status != Pass {
		fmt.Fprintf(&words, " (%d needed)", need)
	}
	bad := len(parts) - good
	for i, part := range worst[:min(bad, maxWords)] {
		separator := "; "
		if i == 0 {
			separator = ": "
		}
		words.WriteString(separator + part.Name + " " + oneLineMax(part.Reason, maxReason/4))
	}
	if bad > maxWords {
		fmt.Fprintf(&words, "; and %d more", bad-maxWords)
	}
	result.Reason = oneLine(words.String())
	result.Parts = worst[:min(len(worst), maxParts)]
	return result
}

// severity orders statuses from good to bad.
func severity(s Status) int { return slices.Index([]Status{Pass, Warn, Unknown, Fail}, s) }
