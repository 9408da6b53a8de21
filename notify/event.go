// Package notify knows what happened (Event), how it is said to people
// (Render) and what a channel must do with it (Notifier). It knows no
// transport and no retry timing: the packages below it do.
package notify

import "time"

// Kind says whose transition an event tells.
type Kind string

// The two kinds, spelled as keepalived does.
const (
	Instance Kind = "INSTANCE"
	Group    Kind = "GROUP"
)

// State is a VRRP state or pseudo state, spelled as keepalived does:
// MASTER, BACKUP, FAULT, STOP, DELETED, MASTER_RX_LOWER_PRI, MASTER_PRIORITY,
// BACKUP_PRIORITY. Empty means not known.
type State string

// The states keepalived sends to notify scripts and its FIFO.
const (
	Master           State = "MASTER"
	Backup           State = "BACKUP"
	Fault            State = "FAULT"
	Stop             State = "STOP"
	Deleted          State = "DELETED"
	MasterRxLowerPri State = "MASTER_RX_LOWER_PRI"
	MasterPriority   State = "MASTER_PRIORITY"
	BackupPriority   State = "BACKUP_PRIORITY"
)

// Event is one transition of one instance or sync group, with everything an
// on-call person needs. Its JSON form is the body of the generic webhook and
// of the spool's entries; fields are only ever added.
type Event struct {
	// ID is unique and stays the same over every attempt to deliver the event:
	// it becomes the Message-ID and the Idempotency-Key. Letters, digits and
	// '-' only.
	ID string `json:"id"`
	// Time is when keepalived called the hook, with this node's zone.
	Time time.Time `json:"time"`
	// Host is this node's name; RouterID is keepalived's router_id if set.
	Host     string `json:"host"`
	RouterID string `json:"router_id,omitempty"`

	Kind  Kind   `json:"kind"`
	Name  string `json:"name"`
	State State  `json:"state"`
	// Previous is the state before, as recorded by this node's hook, and
	// PreviousSince when it began; empty and nil if not known.
	Previous      State      `json:"previous,omitempty"`
	PreviousSince *time.Time `json:"previous_since,omitempty"`
	// Priority is the effective VRRP priority keepalived passed (0 to 255);
	// nil if it passed none.
	Priority *int `json:"priority,omitempty"`

	// Known is whether keepalived.conf was read and has an instance or group of
	// this name.
	Known bool `json:"known"`
	// Interface and VirtualRouterID are the instance's; empty and 0 for a
	// group or if not known.
	Interface       string `json:"interface,omitempty"`
	VirtualRouterID int    `json:"virtual_router_id,omitempty"`
	// Members are a sync group's instances.
	Members []string `json:"members,omitempty"`
	// VIPs are the virtual addresses of the instance, or of all members.
	VIPs []VIP `json:"vips"`

	// Verdict is the last verdict of this node's check; nil if none is kept.
	Verdict *Verdict `json:"verdict,omitempty"`
	// HAProxy sums up its backends; nil if nothing could be found out.
	HAProxy *HAProxy `json:"haproxy,omitempty"`

	// Maintenance is the planned disturbance during which it happened; nil if
	// there was none.
	Maintenance *Maintenance `json:"maintenance,omitempty"`
	// RunbookURL is where the operator's own instructions are; empty for none.
	RunbookURL string `json:"runbook_url,omitempty"`

	// Unread names the sources that could not be read, so that what they would
	// have told is not known: that it is absent here means nothing.
	Unread []Source `json:"unread,omitempty"`
	// Notes say, one sentence each, what could not be found out and why.
	Notes []string `json:"notes,omitempty"`
}

// Source is where a part of an event comes from.
type Source string

// The sources whose silence could be mistaken for an answer: an instance that
// keepalived.conf does not have, a verdict that was never kept.
const (
	SourceConfiguration Source = "keepalived.conf"
	SourceVerdict       Source = "verdict"
)

// Presence is whether an address is configured on an interface of this node,
// as netlink sees it.
type Presence string

// The three answers about an address.
const (
	Present         Presence = "present"
	Absent          Presence = "absent"
	PresenceUnknown Presence = "unknown"
)

// VIP is one virtual address.
type VIP struct {
	// Address is the IP without prefix; Prefix is its length in bits.
	Address string `json:"address"`
	Prefix  int    `json:"prefix"`
	// Device is where keepalived.conf wants it.
	Device string `json:"device,omitempty"`
	// Instance is the vrrp_instance that owns it.
	Instance string `json:"instance"`
	// Excluded is set for virtual_ipaddress_excluded.
	Excluded bool `json:"excluded,omitempty"`
	// Presence is what netlink saw when the event was made, and PresentOn the
	// interface it was seen on.
	Presence  Presence `json:"presence"`
	PresentOn string   `json:"present_on,omitempty"`
}

// Verdict is the last answer of a check on this node.
type Verdict struct {
	Check string `json:"check"`
	// Command runs the check again, as keepalived.conf has it; empty if it
	// has none.
	Command string    `json:"command,omitempty"`
	Status  string    `json:"status"` // pass, warn, fail, unknown
	Reason  string    `json:"reason"`
	Time    time.Time `json:"time"`
}

// HAProxy sums up the state of HAProxy's backends on this node.
type HAProxy struct {
	// Error says why the socket gave no answer; the lists are then empty.
	Error string `json:"error,omitempty"`
	// Up, Down and Unknown name the backends by whether they can serve.
	// Backends without servers are in none of them.
	Up      []string      `json:"up,omitempty"`
	Down    []BackendDown `json:"down,omitempty"`
	Unknown []string      `json:"unknown,omitempty"`
}

// BackendDown is a backend that cannot serve, and why.
type BackendDown struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}
