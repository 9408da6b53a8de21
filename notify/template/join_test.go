package template_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"hacheck/notify/template"
)

// A long text between those of a long list is refused before all of it is made.
func TestJoinMakesNoTextThatIsTooLong(t *testing.T) {
	data := struct {
		List []string
		Long string
	}{make([]string, 1000), strings.Repeat("x", wide.Output)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := ours(`{{len (join .List .Long)}}`, data, wide)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, template.ErrLimit) || !strings.Contains(err.Error(), "error calling join: ") || !strings.HasSuffix(err.Error(), "a text of more than 65536 bytes") {
		t.Errorf("got %v", err)
	}
	// It would be 64 MiB.
	if made := after.TotalAlloc - before.TotalAlloc; made > 16<<20 {
		t.Errorf("%d bytes were allocated", made)
	}
	if got, err := ours(`{{len (join .List .Long)}}`, struct {
		List []string
		Long string
	}{make([]string, 2), data.Long}, wide); err != nil || got != "65536" {
		t.Errorf("at the limit: %s, %v", got, err)
	}
}
