package keepalived

import (
	"fmt"
	"os"
	"strconv"
)

// Running reports whether a keepalived runs, whatever its pid file is called, as
// /proc below root shows it ("" means /). The error says that this process
// cannot see those of others, as where /proc is mounted with hidepid.
func Running(root string) (bool, error) {
	if root == "" {
		root = "/"
	}
	search := Search{Root: root}
	// The first process always runs: who cannot read it sees too little.
	if _, err := readProc(search.in("/proc/1/cmdline")); err != nil {
		return false, fmt.Errorf("see whether keepalived runs: %w", err)
	}
	entries, err := os.ReadDir(search.in("/proc"))
	if err != nil {
		return false, fmt.Errorf("see whether keepalived runs: %w", err)
	}
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			if _, ok := search.process(pid, -1); ok {
				return true, nil
			}
		}
	}
	return false, nil
}
