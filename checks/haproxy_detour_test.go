package checks

import (
	"fmt"
	"testing"
	"time"

	"hacheck/haproxy/haproxytest"
)

// A server that HAProxy reaches by another way than a dial from here is not
// dead because the dial fails.
func TestHAProxyServersByAnotherWay(t *testing.T) {
	free := haproxytest.FreePorts(t, 2)
	dead := free[1]
	for name, test := range map[string]struct{ section, server, option string }{
		"socks4":             {"", " socks4 127.0.0.1:1", "socks4"},
		"interface":          {"", " source 127.0.0.1 interface lo", "source"},
		"default-server":     {"    default-server socks4 127.0.0.1:1\n", "", "socks4"},
		"the whole section":  {"    source 127.0.0.1 interface lo\n", "", "source"},
		"an address of ours": {"    source 127.0.0.1\n", " source 127.0.0.1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := haproxytest.Start(t, haproxyGlobal+fmt.Sprintf("listen app\n    bind 127.0.0.1:%d\n%s    server a1 127.0.0.1:%d%s\n",
				free[0], test.section, dead, test.server))
			status, reason := Warn, "backend app is up by HAProxy's word alone (a1 is not checked by HAProxy, a dial from here does not take the way that "+
				test.option+" gives it); 0 of 1 backends up, 1 not known"
			if test.option == "" {
				status, reason = Fail, fmt.Sprintf("backend app has no usable server (a1 is not checked by HAProxy, 127.0.0.1:%d: connection refused); 0 of 1 backends up", dead)
			}
			expect(t, runWithin(t, checkOf(p.Config), 5*time.Second), status, reason)
		})
	}
}
