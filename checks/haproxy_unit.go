package checks

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// unitTimeout bounds the question to systemd, which takes 1 ms. A D-Bus
	// that hangs must not slow each check down to its deadline.
	unitTimeout = 300 * time.Millisecond
	// unitHeadStart is how long the admin socket has to answer before systemd
	// is asked beside it.
	unitHeadStart = 30 * time.Millisecond
)

// unit tells whether the unit is active: the process that answers on the socket,
// which comes in pid, proves it by the control group it is in. systemd is asked
// if it does not, or if it takes long: to look into /proc takes 20 µs, to ask
// systemd is half of the cost of a healthy check.
func (h *HAProxy) unit(ctx context.Context, pid <-chan int, timeout time.Duration) Result {
	part := Result{Name: "unit", Status: Unknown}
	if h.Unit == "" {
		part.Reason = "no unit is asked for"
		return part
	}
	timer := time.NewTimer(unitHeadStart)
	defer timer.Stop()
	select {
	case process := <-pid:
		if name := unitOfProcess("/proc", process, h.Unit); name != "" {
			part.Status = Pass
			part.Reason = oneLineMax(fmt.Sprintf("%s runs pid %d", name, process), 200)
			return part
		}
	case <-timer.C:
	case <-ctx.Done():
	}
	return h.askUnit(ctx, timeout)
}

// unitOfProcess gives the system's unit matching the pattern whose control group
// a haproxy process is in, by what proc, which is /proc, says; empty if there is
// none. The number comes from HAProxy and means another process if that runs in
// a container: so the name has to fit as well.
func unitOfProcess(proc string, pid int, pattern string) string {
	if pid <= 0 {
		return ""
	}
	dir := filepath.Join(proc, strconv.Itoa(pid))
	name, err := os.ReadFile(filepath.Join(dir, "comm"))
	if err != nil || !strings.HasPrefix(string(name), "haproxy") {
		return ""
	}
	groups, err := os.ReadFile(filepath.Join(dir, "cgroup"))
	if err != nil {
		return ""
	}
	// "0::/system.slice/haproxy.service", and more such lines with version 1
	// (cgroups(7)). A user's own systemd has units of the same names.
	for line := range strings.Lines(string(groups)) {
		_, group, _ := strings.Cut(strings.TrimSpace(line), ":/")
		elements := strings.Split(group, "/")
		if elements[0] == "user.slice" {
			continue
		}
		for _, element := range elements {
			if matches, _ := path.Match(pattern, element); matches && strings.HasSuffix(element, ".service") {
				return element
			}
		}
	}
	return ""
}

// askUnit asks systemd.
func (h *HAProxy) askUnit(ctx context.Context, timeout time.Duration) Result {
	part := Result{Name: "unit", Status: Unknown}
	query := h.units
	if query == nil {
		query = queryUnits
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	states, err := query(ctx, []string{h.Unit})
	if err != nil {
		part.Reason = oneLine(fmt.Sprintf("%s: systemd was not asked: %v", h.Unit, err))
		return part
	}
	part.Reason = h.Unit + " is not a unit of this node"
	if h.UnitNamed {
		part.Status = Warn
	}
	for _, state := range states {
		if state.Load == "not-found" || state.Load == "masked" {
			continue
		}
		words := state.Name + " is " + state.Active
		if state.Sub != "" && state.Sub != state.Active && state.Sub != "running" && state.Sub != "dead" {
			words += " (" + state.Sub + ")"
		}
		if state.Result != "" && state.Result != "success" {
			words += ", its last run ended by " + state.Result
		}
		words = oneLineMax(words, 200)
		switch state.Active {
		case "active", "reloading", "refreshing":
			part.Status, part.Reason = Pass, words
			return part // of several instances one is enough
		default:
			part.Status, part.Reason = Fail, words
		}
	}
	return part
}
