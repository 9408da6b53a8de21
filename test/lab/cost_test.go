//go:build lab

package lab

import (
	"context"
	"path/filepath"
	"testing"
)

// benchDir is where the benchmark's programs are on the node.
const benchDir = "/usr/local/lib/hacheck-bench"

// checkCost runs the benchmark on node a, where systemd and D-Bus are real, so
// that the check and the usual script both do all that they do on a real pair.
// haproxy.service is there to be asked about; what is checked are HAProxys that
// the benchmark starts. It shows what it measured and judges nothing: times
// are the machine's as much as hacheck's.
func (l *lab) checkCost(ctx context.Context, t *testing.T) {
	if err := l.install(ctx, dualConfiguration()); err != nil {
		t.Fatal(err)
	}
	if err := l.b.script(ctx, "systemctl stop keepalived haproxy"); err != nil {
		t.Fatal(err)
	}
	for from, name := range map[string]string{
		build(ctx, t, "./bench"):                                        "bench",
		build(ctx, t, "./bench/empty"):                                  "empty",
		filepath.Join("..", "..", "bench", "usual", "check_haproxy.sh"): "check_haproxy.sh",
	} {
		if err := installBinary(from, filepath.Join(l.a.root, benchDir, name)); err != nil {
			t.Fatal(err)
		}
	}
	measured := l.a.run(ctx, benchDir+"/bench", "-systemd",
		"-hacheck", "/usr/bin/hacheck", "-empty", benchDir+"/empty", "-script", benchDir+"/check_haproxy.sh")
	if measured.code != 0 {
		t.Errorf("the benchmark ended with exit code %d: %s", measured.code, measured.text())
	}
	t.Logf("on node a:\n%s", measured.stdout)
}
