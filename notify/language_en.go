package notify

// english is the language the other two are translated from.
func english() phrases {
	return phrases{
		list:    ", ",
		more:    "%[1]s and %[2]d more",
		clauses: "; ",

		day: "%[1]d d", hour: "%[1]d h", minute: "%[1]d min", second: "%[1]d s",

		levels: map[Level]string{Info: "info", Warning: "warning", Critical: "critical"},
		statuses: map[string]string{
			"pass": "PASS", "warn": "WARN (passes, but look at it)", "fail": "FAIL", "unknown": "UNKNOWN (it could not tell)",
		},

		states: map[State]stateText{
			Master: {
				subject:  "%[1]s on %[2]s",
				headline: "%[1]s is now MASTER on %[2]s: this node takes over its virtual addresses.",
			},
			Backup: {
				subject:  "%[1]s on %[2]s",
				headline: "%[1]s is now BACKUP on %[2]s: this node stands by and must not hold its virtual addresses.",
			},
			Fault: {
				subject:  "%[1]s on %[2]s",
				headline: "%[1]s is in FAULT on %[2]s: this node cannot hold its virtual addresses until the cause is gone.",
			},
			Stop: {
				subject:  "%[1]s on %[2]s",
				headline: "%[1]s is stopped on %[2]s: this node gives up its virtual addresses.",
			},
			Deleted: {
				subject:  "%[1]s on %[2]s",
				headline: "%[1]s was deleted on %[2]s: this node no longer takes part in it.",
			},
			MasterRxLowerPri: {
				subject:  "%[1]s on %[2]s",
				headline: "%[1]s is MASTER on %[2]s and received an advert of lower priority: another node also claims to be MASTER. This may be a split brain.",
			},
			MasterPriority: {
				subject:  "%[1]s on %[2]s",
				headline: "%[1]s stays MASTER on %[2]s; its effective priority changed.",
			},
			BackupPriority: {
				subject:  "%[1]s on %[2]s",
				headline: "%[1]s stays BACKUP on %[2]s; its effective priority changed.",
			},
		},
		otherState: stateText{
			subject:  "%[1]s on %[2]s",
			headline: "keepalived reports the state \"%[3]s\" for %[1]s on %[2]s. hacheck does not know this state.",
		},
		noState: stateText{
			word:     "state not given",
			subject:  "%[1]s on %[2]s",
			headline: "keepalived reports a change of %[1]s on %[2]s without naming the state.",
		},

		group:    "group %[1]s",
		noName:   "(no name)",
		noHost:   "(unknown host)",
		noTime:   "not known",
		unstated: "not known",

		subjectFrom:      " (was %[1]s)",
		subjectPriority:  " (priority %[1]d)",
		subjectClaimed:   " (claimed by another node too)",
		subjectNoVIP:     "no VIP",
		subjectUnknown:   "VIPs not known",
		subjectLingering: ", VIP STILL HERE",
		titleLingering:   "STILL HERE",
		titleGone:        "not here",
		subjectReason:    "%[1]s: %[2]s",
		titleAfter:       "%[1]s after %[2]s",
		titleCheck:       "check %[1]s %[2]s: %[3]s",

		labelInstance: "Instance", labelGroup: "Sync group", labelMembers: "Members", labelChange: "Change",
		labelWhen: "When", labelNode: "Node", labelVRRP: "VRRP",
		labelCheck: "Check", labelReason: "Reason", labelAge: "Age",
		labelUp: "up (%[1]d)", labelDown: "down (%[1]d)", labelNotKnown: "not known (%[1]d)",
		labelError: "no answer", labelSeverity: "Severity", labelEventID: "Event ID",
		headingVIPs:    "Virtual addresses, as seen on this node's interfaces",
		headingCheck:   "Last check of this node",
		headingHAProxy: "HAProxy backends on this node",
		headingNotes:   "What could not be found out",
		headingNext:    "What to look at next",

		routerID:      "%[1]s (router_id %[2]s)",
		vrrpInterface: "interface %[1]s",
		vrrpID:        "virtual_router_id %[1]d",
		vrrpPriority:  "priority %[1]d",

		changed:        "%[1]s → %[2]s",
		changedFrom:    "→ %[1]s",
		stays:          "stays %[1]s",
		lasted:         "was %[1]s for %[2]s (since %[3]s)",
		stayedFor:      "for %[1]s now (since %[2]s)",
		lastedUnknown:  "how long it was %[1]s is not recorded",
		lastedBackward: "recorded as %[1]s since %[2]s, which is after this change: the clock was set",
		fromUnknown:    "the state before is not recorded on this node",

		vipDevice:    "%[1]s dev %[2]s",
		vipInstance:  "of %[1]s",
		vipExcluded:  "not in the adverts",
		vipHere:      "here",
		vipHereOn:    "here, on %[1]s",
		vipLingering: "STILL HERE, on %[1]s",
		vipMissing:   "not here (yet)",
		vipGone:      "not here, as it should be",
		vipNotKnown:  "could not be looked up",
		vipNone:      "None: keepalived.conf gives it no virtual address.",
		notKnown:     "Not known.",

		checkNone:    "No verdict of a check is kept on this node: no check has run here, or it could not write its verdict.",
		reasonNone:   "none given",
		ageBefore:    "%[1]s before the change",
		ageNow:       "within 1 s of the change",
		ageAfter:     "%[1]s after the change",
		ageUnknown:   "not known",
		ageStale:     "STALE: %[1]s before the change. It says nothing about now; is the check still being run?",
		haproxyNone:  "Nothing could be found out about HAProxy.",
		haproxyEmpty: "HAProxy answers, but has no backend with servers.",
		downReason:   "%[1]s: %[2]s",
		moreDown:     "and %[1]d more",

		whyMaster:          "No other node sends adverts of a higher priority: the former MASTER failed, was stopped or lost priority, or this node has come back above it.",
		whyMasterPassing:   "This node's check passes.",
		whyMasterFailing:   "MASTER, but this node's check %[1]s FAILS: clients reach a node that may not be able to serve them. Reason: %[2]s",
		whyBackup:          "Another node with a higher priority took over, or this node lost priority.",
		whyBackupPassing:   "This node's check passes: a peer with a higher priority took over or came back, or something else that keepalived tracks lowered this node's priority.",
		whyBackupFailing:   "This node's check %[1]s fails, which lowers its priority where keepalived tracks it with a weight. Reason: %[2]s",
		whyBackupRecovered: "The fault is over: this node can take over again when it is needed.",
		whyBackupStarted:   "keepalived has started again: every instance begins as BACKUP and becomes MASTER if no other node has a higher priority.",
		whyBackupFirst:     "This is usual when keepalived starts: every instance begins as BACKUP and becomes MASTER if no other node has a higher priority.",
		whyFault:           "keepalived does not say why. A tracked script, interface, file or process failed, or a member of the same sync group did.",
		whyFaultPassing:    "This node's check passes, so the cause is something else that keepalived tracks: an interface that is down, another script, file or process, or a member of the same sync group.",
		whyFaultFailing:    "This node's check %[1]s fails. Reason: %[2]s",
		whyStop:            "keepalived was stopped or restarted on this node, or the node is shutting down. If nobody did this on purpose, look at its journal.",
		whyStopMaster:      "It was MASTER here, so another node has to take over; see that one did.",
		whyDeleted:         "keepalived was reloaded with a configuration that no longer has it.",
		whyClaimed:         "The other node does not hear this node's adverts (network, firewall, unicast peers, password), or has only just started. As long as both are MASTER, clients may reach either.",
		whyPriority:        "Something that keepalived tracks changed: a script, an interface, a file or a process.",
		whyPriorityFailing: "This node's check %[1]s fails. Reason: %[2]s",

		alertLingering: "%[1]s still on this node although the state is %[2]s. keepalived may be removing it at this moment; if it stays, two nodes answer for the same address.",
		alertMissing:   "%[1]s not on this node when the hook looked. keepalived may still have been adding it; if it is missing now too, look at keepalived's journal.",
		alertInstance:  "No vrrp_instance named %[1]s was found in keepalived.conf, so its addresses and interface are not known. The transition itself is as keepalived reported it.",
		alertGroup:     "No vrrp_sync_group named %[1]s was found in keepalived.conf, so its members and addresses are not known. The transition itself is as keepalived reported it.",

		nextAddresses:     "which addresses are here now",
		nextKeepalivedLog: "what keepalived says about it",
		nextKeepalived:    "does keepalived run again, and who stopped it",
		nextCheck:         "run the check again: verdict and reason",
		nextStatus:        "the last verdict of every check, and why",
		nextHAProxy:       "does HAProxy run",
		nextLinks:         "is every tracked interface up",
		nextAdverts:       "who sends VRRP adverts here, with which priority",
		nextPeer:          "on the other node: does it live",
		nextPeerAddresses: "on the other node: does it hold the addresses",
		nextConfiguration: "which instances and groups are configured",

		stories: englishStories(),
	}
}
