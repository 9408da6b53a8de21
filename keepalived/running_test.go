package keepalived

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
)

func TestRunning(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  bool
	}{
		{"none", map[string]string{"1": "/sbin/init\x00", "20": "vim\x00/etc/keepalived/keepalived.conf\x00", "21": ""}, false},
		{"one", map[string]string{"1": "/sbin/init\x00", "300": "/usr/sbin/keepalived\x00--dont-fork\x00"}, true},
		{"in a container of its own", map[string]string{"1": "keepalived\x00-nl\x00"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			write(t, filepath.Join(root, "proc/self/cmdline"), "keepalived\x00", 0o644)
			for pid, line := range test.files {
				write(t, filepath.Join(root, "proc", pid, "cmdline"), line, 0o644)
			}
			if got, err := Running(root); err != nil || got != test.want {
				t.Errorf("Running is %v, %v, want %v", got, err, test.want)
			}
		})
	}
	if _, err := Running(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without /proc the error is %v", err)
	}
}
