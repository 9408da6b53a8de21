//go:build release

package release

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestARM64Program runs the packaged program under qemu: what needs the network,
// the disk and the configuration.
func TestARM64Program(t *testing.T) {
	program := filepath.Join(unpacked(t, "arm64"), "usr/bin/hacheck")
	dir := t.TempDir()
	yaml := filepath.Join(dir, "hacheck.yaml")
	write(t, yaml, "state_dir: "+dir+"/state\nrun_dir: "+dir+"/run\nnotify:\n  budget: 5s\n  channels:\n    - type: webhook\n      name: nobody\n      url: http://127.0.0.1:9/\n", 0o640)
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	defer listener.Close()
	open := listener.Addr().String()
	for _, c := range []struct{ args, want string }{
		{"version", "hacheck " + version + " ("},
		{"version", "linux/arm64)\n"},
		{"config check", yaml + " is right: "},
		{"tcp --timeout=5s " + open, "OK tcp: "},
		{"notify MASTER VI_1", ""},
		{"queue list", "MASTER VI_1"},
		{"queue list", "connection refused"},
	} {
		if said := command(t, slices.Concat([]string{"qemu-aarch64", program, "--config", yaml}, strings.Fields(c.args))...); !strings.Contains(said, c.want) {
			t.Errorf("hacheck %s says no %q: %s", c.args, c.want, said)
		}
	}
	listener.Close()
	output, err := exec.Command("qemu-aarch64", program, "--config", yaml, "tcp", "--timeout=5s", open).CombinedOutput()
	if err == nil || !strings.Contains(string(output), "connection refused") {
		t.Errorf("a closed port: %v, %s", err, output)
	}
}

// TestARM64Tests runs the packages' own tests, built for arm64, under qemu. They
// speak to this machine's HAProxy, keepalived and sockets.
func TestARM64Tests(t *testing.T) {
	left := []string{
		// They start their own program again, which the kernel does not know how
		// to run: "exec format error". cmd/hacheck is left out whole for it.
		"TestHAProxySocketNotPermitted", "TestSaveVerdictTwoUsers", "TestSaveVerdictUnderKeepalivedsUmask",
		"TestLocalAddressesVIP", "TestProxyFromEnvironment", "TestDeath", "TestKilledAt.*",
		"TestConcurrentHooks.*", "TestOpenSaysWhatIsWrong", "TestUnprivilegedAccount.*", "TestScriptUserAndDrainer.*", "TestAnUnreadableEntry.*",
		// qemu makes no namespaces.
		"TestRealKeepalived",
		// qemu knows no sock_diag.
		"TestListeningTCP", "TestListeningTCPObeysContext",
		// qemu is ten times slower, and these have a deadline to meet.
		"TestHAProxyManyServersThatDoNotAnswer", "TestDeadline/writes_without_end",
	}
	for i, name := range left {
		left[i] = "^" + strings.ReplaceAll(name, "/", "$/^") + "$"
	}
	cmd := exec.Command("go", "test", "-vet=off", "-count=1", "-exec", "qemu-aarch64", "-skip", strings.Join(left, "|"),
		"./checks", "./config", "./haproxy", "./keepalived", "./notify", "./notify/email", "./notify/exec", "./notify/journal",
		"./notify/secret", "./notify/spool", "./notify/template", "./notify/webhook", "./regular")
	cmd.Dir = top
	cmd.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Error(err)
	}
	t.Logf("%s", output)
}
