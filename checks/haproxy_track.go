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
func (h *HAProxy) withTracked(ctx context.Context, a answer, rows []haproxy.Row) ([]haproxy.Row, error) {
	if a.snapshot.Info.Uptime > young {
		return rows, nil
	}
	for range maxTracks {
		var queries []haproxy.StatQuery
		for _, row := range rows {
			backend, _, _ := strings.Cut(row.Tracked, "/")
			query := haproxy.StatQuery{Proxy: backend, Servers: true}
			if row.Type == haproxy.RowServer && haproxy.ValidProxyName(backend) && !slices.Contains(queries, query) &&
				!slices.ContainsFunc(rows, func(r haproxy.Row) bool { return r.Type == haproxy.RowServer && r.Proxy == backend }) {
				queries = append(queries, query)
			}
		}
		if len(queries) == 0 {
			break
		}
		snapshot, err := a.client.Stat(ctx, queries...)
		if err != nil {
			return nil, err
		}
		if snapshot.Info.Pid != a.snapshot.Info.Pid {
			return nil, errReloaded
		}
		if len(snapshot.Rows) == 0 {
			break
		}
		rows = slices.Concat(rows, snapshot.Rows)
	}
	return rows, nil
}

// uncheckedYet finds the servers that wait for a first check, their own or that of
// the server they track.
func uncheckedYet(rows []haproxy.Row) map[string]bool {
	found := map[string]bool{}
	tracks := map[string]string{}
	for _, row := range rows {
		switch {
		case row.Type != haproxy.RowServer:
		case row.CheckStatus == "INI":
			found[nameOf(row)] = true
		case row.CheckStatus == "" && row.Tracked != "":
			tracks[nameOf(row)] = row.Tracked
		}
	}
	if len(found) == 0 {
		return found
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
