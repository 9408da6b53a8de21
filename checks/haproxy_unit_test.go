package checks

import (
	"os"
	"path/filepath"
	"testing"
)

func TestUnitOfProcess(t *testing.T) {
	tests := []struct {
		name, comm, cgroup, pattern, want string
	}{
		{"version 2", "haproxy\n", "0::/system.slice/haproxy.service\n", "haproxy.service", "haproxy.service"},
		{"version 1", "haproxy\n", "12:cpu,cpuacct:/system.slice/haproxy.service\n1:name=systemd:/system.slice/haproxy.service\n0::/\n", "haproxy.service", "haproxy.service"},
		{"an instance", "haproxy\n", `0::/system.slice/system-haproxy.slice/haproxy@web.service` + "\n", "haproxy@*.service", "haproxy@web.service"},
		{"delegated", "haproxy\n", "0::/system.slice/haproxy.service/workers\n", "haproxy.service", "haproxy.service"},
		{"another unit", "haproxy\n", "0::/system.slice/haproxy-old.service\n", "haproxy.service", ""},
		{"another program of that number", "sleep\n", "0::/system.slice/haproxy.service\n", "haproxy.service", ""},
		{"a user's own systemd", "haproxy\n", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/haproxy.service\n", "haproxy.service", ""},
		{"a slice", "haproxy\n", "0::/haproxy.slice/x.service\n", "haproxy*", ""},
		{"no unit at all", "haproxy\n", "0::/\n", "haproxy.service", ""},
		{"empty", "haproxy\n", "", "haproxy.service", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			proc := t.TempDir()
			if err := os.Mkdir(filepath.Join(proc, "7"), 0o700); err != nil {
				t.Fatal(err)
			}
			for name, content := range map[string]string{"comm": test.comm, "cgroup": test.cgroup} {
				if err := os.WriteFile(filepath.Join(proc, "7", name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := unitOfProcess(proc, 7, test.pattern); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	for _, pid := range []int{0, -1, 4} {
		if got := unitOfProcess(t.TempDir(), pid, "haproxy.service"); got != "" {
			t.Errorf("pid %d: %q", pid, got)
		}
	}
}
