package notify

import "fmt"

// explain adds why it happened, as far as can be told.
func (r *report) explain(s side, p *phrases) {
	event := s.whole
	switch event.State {
	case Master:
		r.lead = append(r.lead, p.whyMaster)
		if event.passing() {
			r.lead = append(r.lead, p.whyMasterPassing)
		}
	case Backup:
		switch {
		case event.Previous == Fault:
			r.lead = append(r.lead, p.whyBackupRecovered)
		case event.Previous == Stop || event.Previous == Deleted:
			r.lead = append(r.lead, p.whyBackupStarted)
		case event.Previous == "" || event.Previous == Backup:
			r.lead = append(r.lead, p.whyBackupFirst)
		case event.failing():
			r.lead = append(r.lead, event.why(p.whyBackupFailing, p))
		case event.passing():
			r.lead = append(r.lead, p.whyBackupPassing)
		default:
			r.lead = append(r.lead, p.whyBackup)
		}
	case Fault:
		switch {
		case event.failing():
			r.lead = append(r.lead, event.why(p.whyFaultFailing, p))
		case event.passing():
			r.lead = append(r.lead, p.whyFaultPassing)
		default:
			r.lead = append(r.lead, p.whyFault)
		}
	case Stop:
		r.lead = append(r.lead, p.whyStop)
		switch {
		case event.Previous == Master && s.plural():
			r.lead = append(r.lead, p.stories.stopMasterSeveral)
		case event.Previous == Master:
			r.lead = append(r.lead, p.whyStopMaster)
		}
	case Deleted:
		r.lead = append(r.lead, p.whyDeleted)
	case MasterRxLowerPri:
		r.lead = append(r.lead, p.whyClaimed)
	case BackupPriority, MasterPriority:
		if event.failing() && event.State == BackupPriority {
			r.lead = append(r.lead, event.why(p.whyPriorityFailing, p))
		} else {
			r.lead = append(r.lead, p.whyPriority)
		}
	}

}

// warn adds what does not fit together.
func (r *report) warn(event Event, p *phrases) {
	if event.holds(yes) && event.failing() {
		r.alerts = append(r.alerts, alert{event.why(p.whyMasterFailing, p), true})
	}
	if here := event.vipsThatAre(Present); len(here) > 0 && event.holds(no) {
		r.alerts = append(r.alerts, alert{fmt.Sprintf(p.alertLingering, p.join(here, maxAlerted), p.named(event.State)), true})
	}
	if missing := event.vipsThatAre(Absent); len(missing) > 0 && event.holds(yes) {
		r.alerts = append(r.alerts, alert{fmt.Sprintf(p.alertMissing, p.join(missing, maxAlerted)), false})
	}
	if !event.Known && !event.unread(SourceConfiguration) {
		format := p.alertInstance
		if event.Kind == Group {
			format = p.alertGroup
		}
		r.alerts = append(r.alerts, alert{fmt.Sprintf(format, orElse(event.Name, p.noName)), true})
	}
}

// why says what fails, in a sentence about it.
func (event Event) why(format string, p *phrases) string {
	return fmt.Sprintf(format, event.Verdict.Check, orElse(event.Verdict.Reason, p.reasonNone))
}
