// Package keepalived knows keepalived: its configuration file with positions,
// the events it sends to notify hooks and FIFOs, and which addresses this node
// holds. It has no opinion about what it reads: where keepalived itself ignores
// or changes something, that is a Problem, and everything else is read on.
//
// The reader follows what keepalived's VRRP process does with a file, measured
// on 2.2.7 and read in the source of 2.2.7 to 2.4.3 (lib/parser.c,
// vrrp_parser.c, global_parser.c) and in keepalived.conf(5). Tests compare it
// with the real program.
package keepalived

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// Pos is a place in a configuration file.
type Pos struct {
	// File is the path as opened: the main file as it was named, an included
	// one with its directory.
	File string
	// Line counts from 1. What a definition or a ~SEQ generates has the line
	// that used it.
	Line int
}

// String returns the position as "file:line".
func (p Pos) String() string { return p.File + ":" + strconv.Itoa(p.Line) }

// Problem is something that keepalived ignores, changes or stumbles over. Its
// message is in lower case, says what keepalived makes of it, and never holds
// a password.
type Problem struct {
	Pos     Pos
	Message string
}

// String returns the problem as "file:line: message".
func (p Problem) String() string { return p.Pos.String() + ": " + p.Message }

// Setting says that a keyword was given, and where.
type Setting struct {
	Keyword string
	Pos     Pos
}

// Settings are the keywords given in one block, in the order of their first
// use. They tell a value that was written from a default.
type Settings []Setting

// Has reports whether the keyword was given.
func (s Settings) Has(keyword string) bool {
	_, ok := s.Pos(keyword)
	return ok
}

// Pos returns where the keyword was given last.
func (s Settings) Pos(keyword string) (Pos, bool) {
	for _, setting := range s {
		if setting.Keyword == keyword {
			return setting.Pos, true
		}
	}
	return Pos{}, false
}

// set notes a keyword; the last position stays, since the last value does.
func (s *Settings) set(keyword string, pos Pos) {
	for i := range *s {
		if (*s)[i].Keyword == keyword {
			(*s)[i].Pos = pos
			return
		}
	}
	*s = append(*s, Setting{keyword, pos})
}

// Config is what keepalived understands of its configuration, in the order of
// the files. It holds no reference to the files.
type Config struct {
	// Files are the paths that were read, the main file first. A file that is
	// included twice is named twice.
	Files  []string
	Global Global
	// Scripts are the vrrp_script blocks that have a command.
	Scripts []Script
	// TrackFiles are the track_file (or vrrp_track_file) blocks that name a file.
	TrackFiles []TrackFile
	Instances  []Instance
	// Groups are the vrrp_sync_group blocks that have a member.
	Groups []SyncGroup
	// Problems are in the order they were met. At most a thousand are kept.
	Problems []Problem
}

// Global is the global_defs block.
type Global struct {
	// Settings are the keywords given, also those that have no field here.
	Settings Settings
	// RouterID is empty if not set; keepalived then uses the host name.
	RouterID string
	// NotificationEmail are the recipients of keepalived's own mail.
	NotificationEmail     []string
	NotificationEmailFrom string
	SMTPServer            SMTPServer
	// SMTPConnectTimeout is 30 s if not set.
	SMTPConnectTimeout time.Duration
	// SMTPHelo is empty if not set; keepalived then uses the host name.
	SMTPHelo string
	// SMTPAlert and SMTPAlertVRRP are the defaults for instances and groups.
	SMTPAlert, SMTPAlertVRRP bool
	// ScriptUser and ScriptGroup are those of scripts that name none. If they
	// are empty, keepalived uses the account keepalived_script if it exists,
	// and otherwise its own, which is root.
	ScriptUser, ScriptGroup string
	EnableScriptSecurity    bool
	// NotifyFIFO gets all events, VRRPNotifyFIFO and LVSNotifyFIFO their own.
	NotifyFIFO, VRRPNotifyFIFO, LVSNotifyFIFO string
	// VRRPNotifyPriorityChanges adds MASTER_PRIORITY and BACKUP_PRIORITY events.
	VRRPNotifyPriorityChanges bool
	EnableDBus                bool
	// VRRPVersion is that of instances that set none: 2 or 3, by default 2.
	VRRPVersion int
	VRRPStrict  bool
	// DynamicInterfaces allows interfaces that do not exist yet.
	DynamicInterfaces bool
}

// SMTPServer is where keepalived sends its own mail. The zero value is none.
type SMTPServer struct {
	// Host is a name or an address, as written.
	Host string
	// Port is 25 if not set.
	Port int
}

// Command is a command line as keepalived executes it: directly, by no shell.
type Command struct {
	Pos Pos
	// Text is the line after the keyword, without comment, as written.
	Text string
	// Words are the program and its arguments.
	Words []string
	// Ignored are further words on the line that keepalived drops: the
	// arguments of a command that was not quoted as a whole.
	Ignored []string
}

// Hook is a notify command.
type Hook struct {
	Command
	// User and Group are the second and third word of the line. keepalived
	// drops the whole hook if no such account exists, which is what becomes
	// of unquoted arguments. If they are empty, see Global.ScriptUser.
	User, Group string
}

// Hooks are the notify commands of an instance or a sync group; nil means
// not set. Of several of one kind the first counts.
type Hooks struct {
	Master, Backup, Fault, Stop *Hook
	// Deleted and MasterRxLowerPri exist for instances only.
	Deleted, MasterRxLowerPri *Hook
	// Any is the generic "notify": it runs on every transition with four words
	// appended: INSTANCE or GROUP, the name, the state and the priority.
	Any *Hook
}

// Script is a vrrp_script block.
type Script struct {
	Name     string
	Pos      Pos
	Settings Settings
	Command  Command
	// Interval is the time from one start to the next, by default 1 s.
	Interval time.Duration
	// Timeout is when keepalived sends SIGTERM, by default Interval.
	Timeout time.Duration
	// Rise and Fall are the numbers of results needed for a change, by default 1.
	Rise, Fall int
	// Weight is added to the priority, from -253 to 253; 0, the default, means
	// that a failure is FAULT.
	Weight  int
	Reverse bool
	// User and Group are empty if not set, see Global.ScriptUser.
	User, Group string
	// InitFail says that the script starts as failed. keepalived forgets it
	// as soon as a track_script names the script.
	InitFail bool
}

// TrackFile is a track_file (or vrrp_track_file) block: keepalived adds the
// number in the file, times Weight, to the priority.
type TrackFile struct {
	Name     string
	Pos      Pos
	Settings Settings
	File     string
	// Weight is 1 if not set, from -254 to 254; 0 means that a number other
	// than 0 is FAULT.
	Weight  int
	Reverse bool
	// Init says that keepalived creates the file if it is missing.
	Init bool
}

// Track is an entry of track_script, track_file or track_interface.
type Track struct {
	Name string
	Pos  Pos
	// Weight is the one given here or else that of the script or file.
	Weight  int
	Reverse bool
}

// VIP is an address that an instance holds while it is MASTER.
type VIP struct {
	Pos  Pos
	Addr netip.Addr
	// Prefix is the prefix length in bits; 32 or 128 if not given.
	Prefix int
	// Device is the interface: the one given with dev, or else that of the
	// instance (with use_vmac or use_ipvlan the one keepalived makes for it).
	// What keepalived makes for an address with a use_vmac of its own is not
	// told: it is the interface below.
	Device string
	// Label is empty if not set.
	Label string
	// Excluded is set for virtual_ipaddress_excluded: held, not advertised.
	Excluded bool
}

// Peer is an entry of unicast_peer.
type Peer struct {
	Addr netip.Addr
	Pos  Pos
}

// Instance is a vrrp_instance block. The values are those written, with
// keepalived's defaults for what was not; that keepalived may yet clear some
// of them at start (nopreempt with state MASTER, for one) is not applied.
type Instance struct {
	Name     string
	Pos      Pos
	Settings Settings
	// State is MASTER or BACKUP, the state to begin with.
	State     string
	Interface string
	// VirtualRouterID is 1 to 255, or 0 if not set.
	VirtualRouterID int
	// Priority is 1 to 255. If not set it is 100, and 255 with state MASTER.
	Priority int
	// AdvertInt is 1 s if not set, and rounded to what VRRPVersion can say.
	AdvertInt    time.Duration
	Nopreempt    bool
	PreemptDelay time.Duration
	// UnicastSrcIP is the last of unicast_src_ip and mcast_src_ip.
	UnicastSrcIP netip.Addr
	UnicastPeers []Peer
	// AuthType is PASS, AH or empty.
	AuthType string
	// AuthPass is cut to the 8 bytes that keepalived uses.
	AuthPass Secret
	// VRRPVersion is 2 or 3.
	VRRPVersion int
	// VIPs are those of virtual_ipaddress, then of virtual_ipaddress_excluded.
	VIPs            []VIP
	TrackScripts    []Track
	TrackFiles      []Track
	TrackInterfaces []Track
	Hooks           Hooks
	// NotifyDeleted says that a removal is told as DELETED instead of FAULT.
	NotifyDeleted bool
	// SMTPAlert says whether keepalived sends mail on a transition.
	SMTPAlert bool
	// NotifyPriorityChanges adds MASTER_PRIORITY and BACKUP_PRIORITY events.
	NotifyPriorityChanges bool
	// UseVMAC is set for use_vmac and use_ipvlan.
	UseVMAC bool

	vmacName string // the name given with use_vmac or use_ipvlan
	family   int    // 4, 6, or 0 while nothing has said it
}

// SyncGroup is a vrrp_sync_group block.
type SyncGroup struct {
	Name     string
	Pos      Pos
	Settings Settings
	// Members are the names of instances that exist and are in no earlier group.
	Members         []string
	Hooks           Hooks
	TrackScripts    []Track
	TrackFiles      []Track
	TrackInterfaces []Track
	// TrackingWeight is sync_group_tracking_weight: the members share the
	// weighted priority.
	TrackingWeight bool
	SMTPAlert      bool
	// NotifyPriorityChanges is the default for the members.
	NotifyPriorityChanges bool
}

// Instance returns the vrrp_instance of that name.
func (c *Config) Instance(name string) (*Instance, bool) {
	for i := range c.Instances {
		if c.Instances[i].Name == name {
			return &c.Instances[i], true
		}
	}
	return nil, false
}

// Group returns the vrrp_sync_group of that name.
func (c *Config) Group(name string) (*SyncGroup, bool) {
	for i := range c.Groups {
		if c.Groups[i].Name == name {
			return &c.Groups[i], true
		}
	}
	return nil, false
}

// GroupOf returns the sync group that the instance of that name is in.
func (c *Config) GroupOf(instance string) (*SyncGroup, bool) {
	for i := range c.Groups {
		if slices.Contains(c.Groups[i].Members, instance) {
			return &c.Groups[i], true
		}
	}
	return nil, false
}

// Script returns the vrrp_script of that name: the first, as keepalived does.
func (c *Config) Script(name string) (*Script, bool) {
	for i := range c.Scripts {
		if c.Scripts[i].Name == name {
			return &c.Scripts[i], true
		}
	}
	return nil, false
}

// TrackFile returns the track_file of that name.
func (c *Config) TrackFile(name string) (*TrackFile, bool) {
	for i := range c.TrackFiles {
		if c.TrackFiles[i].Name == name {
			return &c.TrackFiles[i], true
		}
	}
	return nil, false
}

// Secret is a password. It prints and marshals as "***", or as nothing if it
// is empty; only Reveal returns it.
type Secret struct{ value string }

// Reveal returns the password itself.
func (s Secret) Reveal() string { return s.value }

// IsZero reports whether there is no password.
func (s Secret) IsZero() bool { return s.value == "" }

// String returns "***", or "" for no password.
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return "***"
}

// GoString masks the password in %#v.
func (s Secret) GoString() string { return "keepalived.Secret{" + s.String() + "}" }

// Format masks the password for every verb.
func (s Secret) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		fmt.Fprint(f, s.GoString())
		return
	}
	fmt.Fprint(f, s.String())
}

// MarshalText masks the password.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON masks the password.
func (s Secret) MarshalJSON() ([]byte, error) { return strconv.AppendQuote(nil, s.String()), nil }
