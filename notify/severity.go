package notify

// Severity tells how urgent an event is. A FAULT is critical, and so is a
// MASTER whose own check fails. Leaving MASTER is a warning, taking over and
// recovering are news. What does not fit together is a warning at least: an
// address that is here although the state says it should not be, a name that
// keepalived.conf does not have, a state hacheck does not know.
//
// During a planned maintenance a FAULT is a warning, as someone should see that
// it ends, and giving up the addresses is news. What nobody plans stays as it
// is: a MASTER that cannot serve, an address that stayed.
func Severity(event Event) Level {
	switch {
	case event.holds(yes) && event.failing():
		return Critical
	case event.State == Fault && event.Maintenance == nil:
		return Critical
	case !event.Known, event.holds(no) && len(event.vipsThatAre(Present)) > 0, event.State == Fault:
		return Warning
	}
	switch event.State {
	case Master, MasterPriority, BackupPriority:
		return Info
	case Backup:
		switch event.Previous {
		case Fault, Stop, Deleted, Backup:
			if !event.failing() {
				return Info
			}
		}
	}
	if event.Maintenance != nil && (event.State == Backup || event.State == Stop || event.State == Deleted) {
		return Info
	}
	return Warning
}
