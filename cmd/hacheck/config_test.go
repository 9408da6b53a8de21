package main

import (
	"io/fs"
	"syscall"
	"testing"
)

func TestReadableBy(t *testing.T) {
	for _, test := range []struct {
		mode     fs.FileMode
		uid, gid uint32
		want     bool
	}{
		{0o644, 0, 0, true},
		{0o640, 0, 0, false},
		{0o640, 0, 105, true},
		{0o640, 0, 998, true},
		{0o604, 0, 105, false}, // the group's part counts, and says no
		{0o600, 997, 0, true},
		{0o077, 997, 105, false},
		{0o600, 0, 105, false},
	} {
		got := readableBy(test.mode, &syscall.Stat_t{Uid: test.uid, Gid: test.gid}, "997", []string{"998", "105"})
		if got != test.want {
			t.Errorf("mode %04o of %d:%d is readable: %t", test.mode, test.uid, test.gid, got)
		}
	}
}
