package checks

import (
	"slices"

	"hacheck/haproxy"
)

// holders gives the servers that keep HAProxy from using the backup at i, as it
// holds them for up whether they live or not. It uses backups when it holds no other
// server for up, and of the backups the first unless there is `option allbackups`.
func (b *backend) holders(i int) (holders []*server) {
	for j := range b.servers {
		if s := &b.servers[j]; !s.backup() && s.upForEver() {
			holders = append(holders, s)
		}
	}
	if len(holders) > 0 {
		return holders
	}
	for j := range b.servers[:i] {
		if s := &b.servers[j]; s.upForEver() {
			holders = append(holders, s)
		}
	}
	return holders
}

// holdBackups lets the backups wait that HAProxy may never come to, until it is
// known whether what they wait for lives.
func (b *backend) holdBackups() {
	for i := range b.servers {
		s := &b.servers[i]
		if !s.backup() || s.use == unusable || s.use == late {
			continue
		}
		holders := b.holders(i)
		if len(holders) == 0 || slices.ContainsFunc(holders, func(h *server) bool { return h.use == usable }) {
			continue
		}
		s.use, s.waits = unsettled, true
		s.words = "is a backup that waits for " + oneLineMax(holders[0].row.Server, 60) + ", which haproxy holds for up unchecked"
	}
}

// releaseBackups ends the wait of backups of which is known by now what they wait
// for. If a holder lives, the backup counts like any other server; if all are dead,
// nobody reaches it, as far as haproxy.cfg says so.
func (b *backend) releaseBackups(config func() *haproxy.Config) {
	for i := range b.servers {
		s := &b.servers[i]
		if !s.waits {
			continue
		}
		holders := b.holders(i)
		dead := !slices.ContainsFunc(holders, func(h *server) bool { return h.use != unusable })
		lives := slices.ContainsFunc(holders, func(h *server) bool { return h.use == usable })
		switch {
		case dead && neverReached(config(), b.row.Proxy, holders[0].backup()):
			s.use, s.waits = unusable, false
		case dead || lives:
			*s = newServer(s.row)
			s.released = true
		}
	}
}

// neverReached reports whether haproxy.cfg, all of which was read, has the backend
// and nothing in it that leads clients to a backup out of turn.
func neverReached(config *haproxy.Config, name string, behindBackup bool) bool {
	found := false
	for _, proxy := range config.Proxies {
		if proxy.Name != name || !proxy.Kind.HasBackend() {
			continue
		}
		if proxy.UseServer || behindBackup && proxy.AllBackups {
			return false
		}
		found = true
	}
	return found && len(config.Unread) == 0
}

// weightless reports whether one of the servers has weight 0.
func (b *backend) weightless() bool {
	return slices.ContainsFunc(b.servers, func(s server) bool { return s.row.Weight == 0 })
}

// countWeightless judges servers with weight 0 like any other.
func (b *backend) countWeightless() {
	for i := range b.servers {
		if s := &b.servers[i]; s.row.Weight == 0 {
			row := s.row
			row.Weight = 1
			judged := newServer(row)
			s.use, s.words = judged.use, judged.words
		}
	}
}

// chosenByRule reports whether a rule of haproxy.cfg may lead clients to any server
// of the backend: then a weight of 0 keeps only the others away from it.
func chosenByRule(config *haproxy.Config, name string) bool {
	return slices.ContainsFunc(config.Proxies, func(p haproxy.Proxy) bool {
		return p.Name == name && p.Kind.HasBackend() && p.UseServer
	})
}
