package checks

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestCombine(t *testing.T) {
	part := func(status Status) Result {
		return Result{Name: status.String(), Status: status, Reason: "is " + status.String()}
	}
	for _, test := range []struct {
		require string
		parts   []Status
		status  Status
		reason  string
	}{
		{"any", []Status{Pass}, Pass, "pass is pass"},
		{"any", []Status{Fail}, Fail, "fail is fail"},
		{"any", []Status{Unknown}, Unknown, "unknown is unknown"},
		{"2", []Status{Pass}, Fail, "1 of 1 things good (2 needed)"},
		{"any", nil, Fail, "0 of 0 things good (1 needed)"},
		{"all", nil, Fail, "0 of 0 things good (0 needed)"},
		{"all", []Status{Pass, Warn}, Pass, "2 of 2 things good"},
		{"any", []Status{Unknown, Pass, Fail}, Pass, "1 of 3 things good: fail is fail; unknown is unknown"},
		{"2", []Status{Unknown, Pass, Fail}, Unknown, "1 of 3 things good (2 needed): fail is fail; unknown is unknown"},
		{"all", []Status{Unknown, Pass, Fail}, Fail, "1 of 3 things good (3 needed): fail is fail; unknown is unknown"},
		{"34%", []Status{Fail, Pass, Fail}, Fail, "1 of 3 things good (2 needed): fail is fail; fail is fail"},
		{"any", make10(Fail), Fail, "0 of 10 things good (1 needed): " + strings.Repeat("fail is fail; ", 8) + "and 2 more"},
	} {
		var parts []Result
		for _, status := range test.parts {
			parts = append(parts, part(status))
		}
		got := combine("x", mustRequire(t, test.require), "things good", parts)
		if got.Name != "x" || got.Status != test.status || got.Reason != test.reason {
			t.Errorf("%s of %v: got %s %q\nwant %s %q", test.require, test.parts, got.Status, got.Reason, test.status, test.reason)
		}
		for i := 1; i < len(got.Parts); i++ {
			if severity(got.Parts[i-1].Status) < severity(got.Parts[i].Status) {
				t.Errorf("the parts are not worst first: %+v", got.Parts)
			}
		}
	}
}

func make10(status Status) []Status {
	statuses := make([]Status, 10)
	for i := range statuses {
		statuses[i] = status
	}
	return statuses
}

func TestCombineBounds(t *testing.T) {
	parts := make([]Result, maxPeers)
	for i := range parts {
		parts[i] = Result{Name: fmt.Sprint("peer", i), Status: Pass, Reason: "answers"}
	}
	parts[200] = Result{Name: "peer200", Status: Fail, Reason: strings.Repeat("long ", 1000)}
	got := combine("x", RequireAll, "peers answer", parts)
	if len(got.Parts) != maxParts || got.Parts[0].Name != "peer200" {
		t.Errorf("%d parts, the first %s", len(got.Parts), got.Parts[0].Name)
	}
	if len(got.Reason) > maxReason+len("…") || !strings.HasPrefix(got.Reason, "255 of 256 peers answer (256 needed): peer200 long long") {
		t.Errorf("got %q", got.Reason)
	}
}

// TestSideBySideWithoutAnswer: a probe that ignores its context does not hold
// up the result.
func TestSideBySideWithoutAnswer(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	got := sideBySide(ctx, []string{"deaf", "quick"}, RequireAll, func(_ context.Context, i int) (Status, string) {
		if i == 0 {
			<-release
		}
		return Pass, "answers"
	})
	if got[0].Status != Fail || !regexp.MustCompile(`^gave no answer within \d+ms$`).MatchString(got[0].Reason) || got[1].Status != Pass {
		t.Errorf("got %+v", got)
	}
}
