package notify

import (
	"fmt"
	"slices"
)

// How many of each list a message names; it says how many more there are.
const (
	maxVIPs     = 20
	maxMembers  = 12
	maxBackends = 12
	maxNotes    = 10
	// maxStanding bounds the instances told one by one, maxCourse the
	// transitions and maxCommands what there is to look at.
	maxStanding = 20
	maxCourse   = 20
	maxCommands = 16
	// maxAlerted bounds the addresses named within a sentence.
	maxAlerted = 4
)

// tone is how a piece of a report is meant.
type tone int

const (
	plain tone = iota
	good
	caution
	bad
)

// report is what a message says, before it is laid out as text or HTML.
type report struct {
	language Language
	subject  string
	badge    string
	colour   string // behind the badge
	level    Level
	headline string
	lead     []string
	alerts   []alert
	facts    []row
	sections []section
	commands []command
	id       string
}

// alert is a contradiction; a loud one asks for action.
type alert struct {
	text string
	loud bool
}

// section is a part with a heading. It is keyed if the labels of its rows are
// what it is about, rather than the names of what stands beside them.
type section struct {
	heading string
	rows    []row
	keyed   bool
}

// row is a label and what there is to say to it. Rows without a label belong
// to the one above.
type row struct {
	label string
	text  string
	tone  tone
}

// command is something to type, or a link to follow, and what it shows.
type command struct {
	line    string
	purpose string
	link    string // as a URL; empty for what is to be typed
}

// newReport gathers what there is to say about a cleaned notification.
func newReport(n Notification, language Language, p *phrases) report {
	sides := n.sides()
	r := report{
		language: language,
		subject:  newSubject(n, sides, p),
		level:    n.Severity(),
		facts:    n.facts(sides, p),
		id:       orElse(n.ID, p.unstated),
	}
	r.badge, r.colour = n.badge(sides, p)
	r.tell(n, sides, p)
	add := func(heading string, rows []row, keyed bool) {
		if len(rows) > 0 {
			r.sections = append(r.sections, section{heading, rows, keyed})
		}
	}
	add(p.stories.headingStanding, standingRows(sides, p), false)
	add(n.courseHeading(p), n.courseRows(p), false)
	if n.story() == Test && n.Name == "" {
		return r
	}
	add(p.headingVIPs, vipRows(sides, p), true)
	if n.story() != Test || n.Verdict != nil {
		add(p.headingCheck, n.checkRows(p.aged(n.story())), false)
	}
	if n.story() != Test || n.HAProxy != nil {
		add(p.headingHAProxy, n.haproxyRows(p), false)
	}
	add(p.headingNotes, n.noteRows(p), false)
	r.commands = n.allCommands(sides, p)
	return r
}

// aged are the phrases with the words for ages that fit the story: there is no
// change that a reminder or a test could be measured by.
func (p *phrases) aged(story Story) *phrases {
	if story != Reminder && story != Test {
		return p
	}
	aged := *p
	aged.ageBefore, aged.ageNow = p.stories.ageBefore, p.stories.ageNow
	aged.ageAfter, aged.ageStale = p.stories.ageAfter, p.stories.ageStale
	return &aged
}

// vipRows list the addresses of all sides.
func vipRows(sides []side, p *phrases) []row {
	owners := len(sides) > 1
	for _, s := range sides {
		owners = owners || s.plural() || s.whole.Kind == Group
	}
	var rows []row
	for _, s := range sides[:min(len(sides), maxSides)] {
		if more := s.whole.vipRows(owners, p); len(s.whole.VIPs) > 0 || len(sides) == 1 {
			rows = append(rows, more...)
		}
	}
	return rows
}

// noteRows are the notes of all events, each once.
func (n Notification) noteRows(p *phrases) []row {
	var notes []string
	for _, event := range n.Latest() {
		for _, note := range event.Notes {
			if len(notes) <= maxNotes && slices.Contains(notes, note) {
				continue
			}
			notes = append(notes, note)
		}
	}
	var rows []row
	for _, note := range notes[:min(len(notes), maxNotes)] {
		rows = append(rows, row{text: note})
	}
	if more := len(notes) - maxNotes; more > 0 {
		rows = append(rows, row{text: fmt.Sprintf(p.moreDown, more)})
	}
	return rows
}

// allCommands are those of every side, each once.
func (n Notification) allCommands(sides []side, p *phrases) []command {
	var all []command
	if n.RunbookURL != "" {
		all = append(all, command{line: n.RunbookURL, purpose: p.stories.nextRunbook, link: n.RunbookURL})
	}
	if n.story() == Test {
		return all
	}
	for _, s := range sides {
		for _, command := range s.whole.commands(n.began(), p) {
			if len(all) < maxCommands && !slices.Contains(all, command) {
				all = append(all, command)
			}
		}
	}
	return all
}
