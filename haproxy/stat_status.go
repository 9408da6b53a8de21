package haproxy

import (
	"fmt"
	"strconv"
	"strings"
)

// ServerState is the kind of a server's status in `show stat`.
type ServerState int

// The states HAProxy writes (management guide, section 9.1, "status").
const (
	// ServerUp: the last checks passed, or the tracked server's did. "UP n/m"
	// is a server that has begun to fail, or was just started.
	ServerUp ServerState = iota + 1
	// ServerDown: the checks or the agent say so. "DOWN n/m" is on its way up
	// but gets no traffic yet.
	ServerDown
	// ServerMaint: taken out by an operator, by the server it tracks, or
	// because its name does not resolve.
	ServerMaint
	// ServerNoLB: the check passed on condition (404 with disable-on-404):
	// persistent connections only.
	ServerNoLB
	// ServerDrain: persistent connections only, by an operator or the agent.
	ServerDrain
	// ServerNoCheck: HAProxy does not check this server, and sends traffic to
	// it whether it lives or not. A server with an agent check only shows this
	// too while the agent calls it up.
	ServerNoCheck
)

// ServerStatus is a server's status in `show stat`, taken apart.
type ServerStatus struct {
	State ServerState
	// Agent is set for "DOWN (agent)" and "DRAIN (agent)".
	Agent bool
	// Health and Of are n and m of "UP n/m", otherwise 0.
	Health, Of int
	// Detail is what stands in the parentheses of MAINT: "resolution" or
	// "via backend/server".
	Detail string
}

// ParseServerStatus reads the status of a server row. A text of no known form
// is an error; HAProxy 1.8 to 3.2 write none.
func ParseServerStatus(text string) (ServerStatus, error) {
	if text == "no check" {
		return ServerStatus{State: ServerNoCheck}, nil
	}
	word, rest, _ := strings.Cut(text, " ")
	status := ServerStatus{}
	switch word {
	case "UP":
		status.State = ServerUp
	case "DOWN":
		status.State = ServerDown
	case "MAINT":
		status.State = ServerMaint
	case "NOLB":
		status.State = ServerNoLB
	case "DRAIN":
		status.State = ServerDrain
	default:
		return ServerStatus{}, fmt.Errorf("%w: %q is not the status of a server", ErrFormat, clip(text))
	}
	if rest == "" {
		return status, nil
	}
	if inner, ok := strings.CutPrefix(rest, "("); ok && strings.HasSuffix(inner, ")") {
		status.Detail = strings.TrimSuffix(inner, ")")
		if status.Detail == "agent" {
			status.Agent, status.Detail = true, ""
		}
		return status, nil
	}
	health, of, ok := strings.Cut(rest, "/")
	n, err1 := strconv.Atoi(health)
	m, err2 := strconv.Atoi(of)
	if !ok || err1 != nil || err2 != nil || n < 0 || m < n {
		return ServerStatus{}, fmt.Errorf("%w: %q is not the status of a server", ErrFormat, clip(text))
	}
	status.Health, status.Of = n, m
	return status, nil
}
