package notify

import (
	"fmt"
	"strings"
	"time"
)

// Language is a language that messages are written in, as a BCP 47 tag. The
// zero value, like every other value that is none of the three, means English.
type Language string

// The languages messages can be written in.
const (
	English            Language = "en"
	SimplifiedChinese  Language = "zh-CN"
	TraditionalChinese Language = "zh-TW"
)

// ParseLanguage reads a language tag in any case, with '-' or '_' between its
// parts. Empty means English. The error names the languages there are.
func ParseLanguage(text string) (Language, error) {
	if text == "" {
		return English, nil
	}
	wanted := strings.ReplaceAll(text, "_", "-")
	for _, language := range [...]Language{English, SimplifiedChinese, TraditionalChinese} {
		if strings.EqualFold(wanted, string(language)) {
			return language, nil
		}
	}
	shown := OneLine(text, 20)
	if strings.EqualFold(wanted, "zh") {
		return "", fmt.Errorf("%q does not say which Chinese: use zh-CN (simplified) or zh-TW (traditional)", shown)
	}
	return "", fmt.Errorf("%q is not a language of messages: use en, zh-CN or zh-TW", shown)
}

// phrases are the words of one language. Fields with verbs say in their
// comment what the numbered arguments are; translations may reorder them, but
// a test holds every language to the same set.
type phrases struct {
	list    string // between the names of a list
	more    string // 1: a list, 2: how many more
	clauses string // between the parts of a value

	day, hour, minute, second string // 1: a number

	levels   map[Level]string
	statuses map[string]string

	states     map[State]stateText
	otherState stateText // a state hacheck does not know; 3: the state
	noState    stateText // keepalived named none

	group    string // 1: the group's name
	noName   string
	noHost   string
	noTime   string
	unstated string // in place of an empty reason, device and the like

	// Parts of the subject and the title.
	subjectFrom      string // 1: the state before
	subjectPriority  string // 1: the priority
	subjectClaimed   string
	subjectNoVIP     string
	subjectUnknown   string
	subjectLingering string
	titleLingering   string
	titleGone        string
	subjectReason    string // 1: the head of the subject, 2: why the check fails
	titleAfter       string // 1: a transition, 2: how long the state before lasted
	titleCheck       string // 1: the check, 2: its status, 3: its reason

	// Labels and headings.
	labelInstance, labelGroup, labelMembers, labelChange, labelWhen, labelNode, labelVRRP string
	labelCheck, labelReason, labelAge                                                     string
	labelUp, labelDown, labelNotKnown                                                     string // 1: how many
	labelError, labelSeverity, labelEventID                                               string
	headingVIPs, headingCheck, headingHAProxy, headingNotes, headingNext                  string

	// Values of the rows.
	routerID      string // 1: the host, 2: keepalived's router_id
	vrrpInterface string // 1: the interface
	vrrpID        string // 1: virtual_router_id
	vrrpPriority  string // 1: the effective priority

	changed        string // 1: the state before, 2: the state now
	changedFrom    string // 1: the state now
	stays          string // 1: the state that goes on
	lasted         string // 1: the state before, 2: its duration, 3: since when
	stayedFor      string // 1: the duration, 2: since when
	lastedUnknown  string // 1: the state before
	lastedBackward string // 1: the state before, 2: since when
	fromUnknown    string

	vipDevice    string // 1: address and prefix, 2: the device
	vipInstance  string // 1: the instance that owns the address
	vipExcluded  string
	vipHere      string
	vipHereOn    string // 1: the interface
	vipLingering string // 1: the interface
	vipMissing   string
	vipGone      string
	vipNotKnown  string
	vipNone      string
	notKnown     string

	checkNone    string
	reasonNone   string
	ageBefore    string // 1: a duration
	ageNow       string
	ageAfter     string // 1: a duration
	ageUnknown   string
	ageStale     string // 1: a duration
	haproxyNone  string
	haproxyEmpty string
	downReason   string // 1: the backend, 2: why it is down
	moreDown     string // 1: how many more

	// Why it happened, as far as the last verdict tells.
	whyMaster          string
	whyMasterPassing   string
	whyMasterFailing   string // 1: the check, 2: why it fails
	whyBackup          string
	whyBackupPassing   string
	whyBackupFailing   string // 1: the check, 2: why it fails
	whyBackupRecovered string
	whyBackupStarted   string
	whyBackupFirst     string
	whyFault           string
	whyFaultPassing    string
	whyFaultFailing    string // 1: the check, 2: why it fails
	whyStop            string
	whyStopMaster      string
	whyDeleted         string
	whyClaimed         string
	whyPriority        string
	whyPriorityFailing string // 1: the check, 2: why it fails

	// What does not fit together.
	alertLingering string // 1: the addresses, 2: the state
	alertMissing   string // 1: the addresses
	alertInstance  string // 1: the instance's name
	alertGroup     string // 1: the group's name

	// What each command shows.
	nextAddresses, nextKeepalivedLog, nextKeepalived, nextCheck, nextStatus, nextHAProxy string
	nextLinks, nextAdverts, nextPeer, nextPeerAddresses, nextConfiguration               string

	// stories are the words beside those for a single event.
	stories storyPhrases
}

// stateText is what one language says about one state.
type stateText struct {
	word     string // beside keepalived's own word; empty in English
	subject  string // 1: the instance or group, 2: the host
	headline string // 1: the instance or group, 2: the host
}

// phrases gives the words of the language.
func (l Language) phrases() phrases {
	switch l {
	case SimplifiedChinese:
		return simplifiedChinese()
	case TraditionalChinese:
		return traditionalChinese()
	default:
		return english()
	}
}

// tag is the language messages are really written in.
func (l Language) tag() Language {
	switch l {
	case SimplifiedChinese, TraditionalChinese:
		return l
	default:
		return English
	}
}

// state gives the words for a state, known or not.
func (p *phrases) state(state State) stateText {
	if text, ok := p.states[state]; ok {
		return text
	}
	if state == "" {
		return p.noState
	}
	return p.otherState
}

// named is keepalived's word for a state with its translation.
func (p *phrases) named(state State) string {
	word := p.state(state).word
	switch {
	case word == "":
		return string(state)
	case state == "":
		return word
	default:
		return string(state) + " " + word
	}
}

// duration says a length of time in its two largest units, rounded down:
// "41 d 3 h", "4 min 5 s", "0 s".
func (p *phrases) duration(d time.Duration) string {
	units := [...]struct {
		text string
		size time.Duration
	}{{p.day, 24 * time.Hour}, {p.hour, time.Hour}, {p.minute, time.Minute}, {p.second, time.Second}}
	for i, unit := range units {
		if d < unit.size && i < len(units)-1 {
			continue
		}
		text := fmt.Sprintf(unit.text, d/unit.size)
		if i < len(units)-1 {
			if rest := d % unit.size / units[i+1].size; rest > 0 {
				text += " " + fmt.Sprintf(units[i+1].text, rest)
			}
		}
		return text
	}
	return ""
}

// join makes a list of at most limit names and says how many more there are.
func (p *phrases) join(names []string, limit int) string {
	if len(names) <= limit {
		return strings.Join(names, p.list)
	}
	return fmt.Sprintf(p.more, strings.Join(names[:limit], p.list), len(names)-limit)
}
