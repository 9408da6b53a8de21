package regular

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	const limit = 8
	for name, size := range map[string]int{"empty": 0, "full": limit, "large": limit + 1} {
		if err := os.WriteFile(in(name), []byte(strings.Repeat("x", size)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("full", in("link")); err != nil {
		t.Fatal(err)
	}
	// Nobody writes to it: a read that waits hangs the test.
	if err := syscall.Mkfifo(in("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, size := range map[string]int{in("empty"): 0, in("full"): limit, in("link"): limit} {
		if data, err := Read(path, limit); err != nil || len(data) != size {
			t.Errorf("%s: %d bytes, %v; want %d", path, len(data), err, size)
		}
	}
	for path, want := range map[string]string{
		in("large"):    " is larger than 8 bytes",
		"/proc/mounts": " is larger than 8 bytes", // its size is said to be 0
		in("fifo"):     " is not a regular file",
		dir:            " is not a regular file",
		"/dev/zero":    " is not a regular file",
	} {
		if _, err := Read(path, limit); err == nil || err.Error() != path+want {
			t.Errorf("%s: error is %v, want %s%s", path, err, path, want)
		}
	}
	if _, err := Read(in("missing"), limit); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}
