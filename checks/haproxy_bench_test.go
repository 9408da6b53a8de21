package checks

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"hacheck/haproxy"
	"hacheck/haproxy/haproxytest"
)

// bigConfig is a configuration of as many backends with ten servers each, all
// of them alive and, unless checked, not checked by HAProxy.
func bigConfig(backends, frontend, server int, checked bool) string {
	var b strings.Builder
	b.WriteString(haproxyGlobal)
	fmt.Fprintf(&b, "frontend web\n    bind 127.0.0.1:%d\n    default_backend b0\n", frontend)
	option := ""
	if checked {
		option = " check inter 600s"
	}
	for i := range backends {
		fmt.Fprintf(&b, "backend b%d\n", i)
		for n := range 10 {
			fmt.Fprintf(&b, "    server s%d 127.0.0.1:%d%s\n", n, server, option)
		}
	}
	return b.String()
}

func acceptAll(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		conn.Close()
	}
}

func BenchmarkHAProxy(b *testing.B) {
	for _, size := range []int{3, 1000} {
		free := haproxytest.FreePorts(b, 2)
		go acceptAll(listen(b, free[0]))
		p := haproxytest.Start(b, bigConfig(size, free[1], free[0], false))
		policies := []struct {
			name   string
			policy BackendPolicy
		}{
			{"any", BackendPolicy{}},
			{"named", BackendPolicy{Include: []string{"b1"}}},
			{"all", BackendPolicy{Require: RequireAll}},
		}
		for _, policy := range policies {
			b.Run(fmt.Sprintf("%d-servers/%s", 10*size, policy.name), func(b *testing.B) {
				h := checkOf(p.Config)
				h.WantBackends = policy.policy
				b.ReportAllocs()
				for b.Loop() {
					result := runWithin(b, h, haproxyTimeout*10)
					if result.Status != Pass {
						b.Fatalf("%s: %s", result.Status, result.Reason)
					}
				}
			})
		}
		b.Run(fmt.Sprintf("%d-servers/any, socket and no haproxy.cfg", 10*size), func(b *testing.B) {
			h := checkOf(p.Config)
			h.Config, h.Sockets = nil, []haproxy.Address{unixSocket(p.Socket)}
			b.ReportAllocs()
			for b.Loop() {
				runWithin(b, h, haproxyTimeout*10)
			}
		})
	}
}
