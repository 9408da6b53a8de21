package keepalived

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestLocalAddresses(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	addresses, err := LocalAddresses(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// The standard library asks the kernel by another way.
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, device := range interfaces {
		entries, err := device.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			prefix := netip.MustParsePrefix(entry.String())
			name, ok := addresses.On(prefix.Addr())
			if !ok || name != device.Name {
				t.Errorf("%v is on %q, want %q", prefix.Addr(), name, device.Name)
			}
			seen++
		}
	}
	if seen == 0 || len(addresses) != seen {
		t.Errorf("%d addresses, want %d: %v", len(addresses), seen, addresses)
	}
	if name, ok := addresses.On(netip.MustParseAddr("192.0.2.231")); ok {
		t.Errorf("192.0.2.231 is on %s", name)
	}
}

func TestLocalAddressesEnded(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the hook has no time left"))
	_, err := LocalAddresses(ctx)
	if err == nil || err.Error() != "cannot list this node's addresses: the hook has no time left" {
		t.Errorf("error %v", err)
	}
}

// TestLocalAddressesVIP runs itself in a network namespace in which a VIP
// comes and goes, as keepalived would do it, and looks as nobody.
func TestLocalAddressesVIP(t *testing.T) {
	const marker = "HACHECK_TEST_NAMESPACE"
	if os.Getenv(marker) != "" {
		addresses, err := LocalAddresses(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for addr, device := range addresses {
			t.Logf("%v on %s, uid %d", addr, device, os.Getuid())
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := `set -e
cp "$1" "$2/self"; chmod 755 "$2" "$2/self"
ip link set lo up
ip link add vip0 type veth peer name vip1
ip address add 192.0.2.100/24 dev vip0 label vip0:vip
ip address add 2001:db8::100/64 dev vip0
ip address add 192.0.2.101 peer 192.0.2.102 dev vip1
setpriv --reuid=65534 --regid=65534 --clear-groups "$2/self" -test.run='^TestLocalAddressesVIP$' -test.v`
	dir, err := os.MkdirTemp("", "hacheck")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	command := exec.Command("unshare", "--net", "sh", "-c", script, "sh", self, dir)
	command.Env = append(os.Environ(), marker+"=1")
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	for _, want := range []string{"127.0.0.1 on lo, uid 65534", "192.0.2.100 on vip0, uid", "2001:db8::100 on vip0, uid", "192.0.2.101 on vip1, uid"} {
		if !strings.Contains(string(output), want) {
			t.Errorf("no %q in\n%s", want, output)
		}
	}
	if strings.Contains(string(output), "192.0.2.102") {
		t.Errorf("the peer's address is not this node's:\n%s", output)
	}
}
