package notify

import "time"

// maxTemplateEvents bounds the events given to a template; the last count.
const maxTemplateEvents = 200

// TemplateData is what a template's fields are taken from. Fields are only
// ever added. Every text in it is one bounded line without control and
// invisible characters, except Text and HTML.
type TemplateData struct {
	// Language is the channel's.
	Language Language
	// Story is why the events are told together: transition, flapping, settled,
	// reminder, summary or test.
	Story Story
	// Severity is info, warning or critical.
	Severity Level
	// Subject, Title and Text are the built-in ones, HTML what the built-in
	// document has in its body: a template can put words around them.
	Subject, Title, Text string
	HTML                 Markup
	// Event is the last of the events. Its fields can be named without it:
	// {{.Host}}, {{.Name}}, {{.State}}, {{.Previous}}, {{.Time}}, {{.VIPs}}.
	// Verdict, HAProxy, Maintenance, Priority and PreviousSince may be missing:
	// {{with .Verdict}}{{.Reason}}{{end}}.
	Event
	// Events are all events and Latest the last one of each instance and sync
	// group, both in the order of their times and at most 200 of them.
	Events, Latest []Event
	// Names are those of the instances and sync groups in Latest, Addresses
	// their virtual addresses.
	Names, Addresses []string
	// Count is how many transitions there were, those told before included.
	Count int
	// Since is when the flapping or the FAULT of a reminder began; zero for the
	// other stories.
	Since time.Time
	// Resolved says that a FAULT is over.
	Resolved bool
	// Lasted is how long: of a FAULT that is over or reminded of, of a flapping,
	// and otherwise of the state before; 0 if that is not known.
	Lasted time.Duration
}

// templateData gathers the data from a cleaned notification and the built-in
// wording of it.
func templateData(n Notification, language Language, built Message, title string, body Markup) TemplateData {
	data := TemplateData{
		Language: language.tag(), Story: n.story(), Severity: n.Severity(),
		Subject: built.Subject, Title: title, Text: built.Text, HTML: body,
		Event: n.Event, Events: lastEvents(n.Events(), maxTemplateEvents), Latest: lastEvents(n.Latest(), maxTemplateEvents),
		Count: n.count(),
	}
	seen := map[string]bool{}
	for _, event := range data.Latest {
		data.Names = append(data.Names, event.Name)
		for _, address := range addresses(event) {
			if !seen[address] {
				seen[address] = true
				data.Addresses = append(data.Addresses, address)
			}
		}
	}
	if n.Since != nil {
		data.Since = *n.Since
	}
	data.Lasted, data.Resolved = n.resolved()
	switch {
	case data.Resolved:
	case n.Since != nil:
		data.Lasted, _ = n.span()
	default:
		data.Lasted, _ = n.previousLasted()
	}
	return data
}

// lastEvents are the last of the events, as many as there may be.
func lastEvents(events []Event, limit int) []Event {
	return events[max(0, len(events)-limit):]
}
