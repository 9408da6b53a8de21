package checks

import (
	"slices"

	"hacheck/haproxy"
)

// benchBackups takes out the backups that HAProxy does not come to: it uses
// backups when it holds no other server for up, the first of them unless there is
// `option allbackups`, and it holds a server that it does not check for up for
// ever. A server that was not checked yet is not in the way for long.
func (b *backend) benchBackups() {
	after := -1
	holder := slices.IndexFunc(b.servers, func(s server) bool { return !s.backup() && s.upForEver() })
	if holder < 0 {
		holder = slices.IndexFunc(b.servers, func(s server) bool { return s.backup() && s.upForEver() })
		after = holder
	}
	if holder < 0 {
		return
	}
	for i := range b.servers {
		if s := &b.servers[i]; i > after && s.backup() && s.use != unusable {
			s.use, s.benched = unusable, true
			s.words = "is a backup that waits for " + oneLineMax(b.servers[holder].row.Server, 60) + ", which haproxy holds for up unchecked"
		}
	}
}

// callBackups takes back what benchBackups said about backups behind another
// backup: with `option allbackups` HAProxy uses all of them. They are left to be
// dialled, for which it is too late in this look.
func (b *backend) callBackups() {
	if slices.ContainsFunc(b.servers, func(s server) bool { return !s.backup() && s.upForEver() }) {
		return
	}
	for i := range b.servers {
		if s := &b.servers[i]; s.benched {
			*s = newServer(s.row)
		}
	}
}

// oneBackupOnly reports whether haproxy.cfg has the backend, and no `option
// allbackups` for it.
func oneBackupOnly(config *haproxy.Config, name string) bool {
	return slices.ContainsFunc(config.Proxies, func(p haproxy.Proxy) bool {
		return p.Name == name && p.Kind.HasBackend() && !p.AllBackups
	})
}
