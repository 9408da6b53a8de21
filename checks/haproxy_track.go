package checks

import (
	"context"
	"slices"
	"strings"
	"time"

	"hacheck/haproxy"
)

const (
	// young is the age of a process up to which a tracked server may not have been
	// checked yet: far above any sensible `inter`.
	young = 10 * time.Minute
	// maxTracks is how long a chain of servers that track each other is followed.
	maxTracks = 8
)

// nameOf names a server as `track` does.
func nameOf(server haproxy.Row) string { return server.Proxy + "/" + server.Server }

// withTracked adds the servers of other backends that servers in rows track. Until
// the first check of the tracked one HAProxy calls both UP, and only the tracked
// one's row says that this means nothing.
//
// The question refines an answer that is there already: where it fails, or would
// take more than half of the time that is left, the rows are taken as they are. The
// only error is errReloaded.
func (h *HAProxy) withTracked(ctx context.Context, a answer, rows []haproxy.Row) ([]haproxy.Row, error) {
	if a.snapshot.Info.Uptime > young {
		return rows, nil
	}
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(ctx, time.Until(deadline)/2)
	defer cancel()
	known := map[string]bool{} // the backends whose servers are in rows, or were asked for
	for added := rows; len(added) > 0; {
		queries := trackedBackends(added, known)
		if len(queries) == 0 {
			break
		}
		snapshot, err := a.client.Stat(ctx, queries...)
		if err != nil {
			break
		}
		if snapshot.Info.Pid != a.snapshot.Info.Pid {
			return nil, errReloaded
		}
		added = snapshot.Rows
		rows = slices.Concat(rows, added)
	}
	return rows, nil
}

// trackedBackends asks for the servers of the backends that rows track and that are
// not known, and notes them as known.
func trackedBackends(rows []haproxy.Row, known map[string]bool) (queries []haproxy.StatQuery) {
	last := ""
	for _, row := range rows {
		if row.Type == haproxy.RowServer && row.Proxy != last {
			last = row.Proxy
			known[last] = true
		}
	}
	for _, row := range rows {
		backend, _, found := strings.Cut(row.Tracked, "/")
		if found && row.Type == haproxy.RowServer && !known[backend] && haproxy.ValidProxyName(backend) {
			known[backend] = true
			queries = append(queries, haproxy.StatQuery{Proxy: backend, Servers: true})
		}
	}
	return queries
}

// uncheckedYet finds the servers that wait for a first check, their own or that of
// the server they track.
func uncheckedYet(rows []haproxy.Row) map[string]bool {
	found := map[string]bool{}
	for _, row := range rows {
		if row.Type == haproxy.RowServer && row.CheckStatus == "INI" {
			found[nameOf(row)] = true
		}
	}
	if len(found) == 0 {
		return found
	}
	tracks := map[string]string{}
	for _, row := range rows {
		if row.Type == haproxy.RowServer && row.CheckStatus == "" && row.Tracked != "" {
			tracks[nameOf(row)] = row.Tracked
		}
	}
	for server := range tracks {
		tracked := server
		for range maxTracks {
			if tracked = tracks[tracked]; found[tracked] {
				found[server] = true
				break
			}
		}
	}
	return found
}
