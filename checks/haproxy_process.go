package checks

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// presence is what the list of processes says about HAProxy.
type presence int

const (
	// hidden: this account does not see other processes (proc(5), hidepid).
	hidden presence = iota
	present
	absent
)

// findProcess looks for a process named haproxy that has not ended, by the
// names in proc, which is /proc. It takes milliseconds and is for when the
// admin socket is gone: an address that listens can belong to any program.
func findProcess(ctx context.Context, proc string) presence {
	if _, err := os.ReadFile(filepath.Join(proc, "1/stat")); err != nil {
		return hidden
	}
	dir, err := os.Open(proc)
	if err != nil {
		return hidden
	}
	defer dir.Close()
	names, err := dir.Readdirnames(0)
	if err != nil {
		return hidden
	}
	for _, name := range names {
		if name[0] < '1' || name[0] > '9' {
			continue
		}
		if ctx.Err() != nil {
			return hidden
		}
		stat, err := os.ReadFile(filepath.Join(proc, name, "stat"))
		if err != nil {
			continue // it ended meanwhile
		}
		// "1234 (haproxy) S …"; the name may hold anything but ends at the last parenthesis.
		_, rest, _ := strings.Cut(string(stat), "(")
		command, state, found := cutLast(rest, ")")
		if found && strings.HasPrefix(command, "haproxy") && !strings.HasPrefix(state, " Z") && !strings.HasPrefix(state, " X") {
			return present
		}
	}
	return absent
}
