package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The @id lines of a file that hacheck is told to read are judged by the -i of
// the keepalived that calls it.
func TestNamedConfigurationIsReadWithConfigID(t *testing.T) {
	n := newNode(t, "")
	conf := filepath.Join(n.dir, "keepalived.conf")
	text := `vrrp_instance VI_1 {
    interface lo
    virtual_router_id 1
    virtual_ipaddress {
@node-a  192.0.2.1
@^node-a 192.0.2.2
    }
}
`
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	hacheck := n.command("--keepalived-conf", conf, "--output", "json", "notify", "--dry-run", "MASTER", "VI_1")
	// A shell whose command line is that of a keepalived started with -i node-a.
	parent := exec.CommandContext(t.Context(), "sh")
	parent.Args = []string{"keepalived", "-c", `shift 2; "$@"; exit $?`, "-i", "node-a", "--"}
	parent.Args = append(parent.Args, hacheck.Args...)
	output, err := parent.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if !strings.Contains(string(output), `"192.0.2.1"`) || strings.Contains(string(output), `"192.0.2.2"`) {
		t.Errorf("the VIPs are not those of node-a:\n%s", output)
	}
}
